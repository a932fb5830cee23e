# bash completion of strait and straitd. Commands, options and formats are what the program's own --help says; tables,
# projects, regions and tasks are asked of the node, for two seconds at most, and are left out where it does not answer.

_strait_match() { # WORD... -> COMPREPLY, those that begin as the word at the cursor does
    local word
    COMPREPLY=()
    for word in "$@"; do
        [[ $word != "$cur"* ]] || COMPREPLY+=("$word")
    done
}

_strait_files() {
    local name
    COMPREPLY=()
    compopt -o filenames 2>/dev/null # quotes names and ends folders with a slash
    while IFS= read -r name; do
        COMPREPLY+=("$name")
    done < <(compgen -f -- "$cur")
}

_strait_help() { "${COMP_WORDS[0]}" "$@" --help 2>/dev/null </dev/null; }

# COMMAND [WORD]: its options; the statements that sql --help lists have none.
_strait_options() {
    _strait_help "$@" | sed '/^Statements/,$d' | grep -oE '(^|[][ |])--?[a-z][a-z-]*' | grep -oE '\-.*' | sort -u
}

_strait_formats() { _strait_help "$@" | grep -oE -m 1 -e '--format [a-z|]+' | cut -d ' ' -f 2 | tr '|' '\n'; }

# COMMAND...: what the node answers.
_strait_ask() { timeout 2 "${COMP_WORDS[0]}" "${config[@]}" "$@" --format csv 2>/dev/null </dev/null; }

_strait_first() { _strait_ask "$@" | sed '1d; s/[",].*//'; } # its first column

_strait_sql() { _strait_first sql --quiet -e "$1;"; }

_strait_tables() {
    if [[ $cur == *.* ]]; then
        _strait_match $(_strait_sql "SHOW TABLES IN ${cur%%.*}" | sed "s/^/${cur%%.*}./")
    else
        _strait_match $(_strait_sql 'SHOW TABLES')
    fi
}

# The how manieth operand the word at the cursor is, -> operand; options that fit the pattern VALUED take a word.
_strait_operand() { # FROM VALUED
    local i
    operand=1
    for ((i = $1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -?* ]]; then
            if [[ ${COMP_WORDS[i + 1]} == '=' ]]; then
                i=$((i + 2))
            elif [[ ${COMP_WORDS[i]} == $2 ]]; then
                i=$((i + 1))
            fi
        else
            operand=$((operand + 1))
        fi
    done
}

_strait_tunnel() { # AT: where upload or download stands, or is to stand
    local way=${COMP_WORDS[$1]} operand
    if ((COMP_CWORD == $1)); then
        _strait_match $(_strait_help tunnel | grep -oE 'tunnel [a-z]+ \.' | cut -d ' ' -f 2)
    elif [[ $cur == -?* || $cur == - ]]; then
        _strait_match $(_strait_options tunnel "$way")
    elif [[ $prev == -project || $prev == --project ]]; then
        _strait_match $(_strait_sql 'SHOW PROJECTS')
    elif [[ $prev == -[a-z]* ]]; then
        [[ $prev != -acp && $prev != -h && $prev != -dbr && $prev != -ss && $prev != -e ]] || _strait_match true false
    else
        _strait_operand $(($1 + 1)) '-[a-z]*'
        case "$way$operand" in
        upload1 | download2) _strait_files ;;
        upload2 | download1) _strait_tables ;;
        esac
    fi
}

_strait() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} config=() i=1
    [[ $cur != '=' ]] || cur=
    [[ $prev != '=' ]] || prev=${COMP_WORDS[COMP_CWORD - 2]}
    [[ ${COMP_WORDS[COMP_CWORD]} != '=' ]] || prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if [[ ${COMP_WORDS[1]} == -c ]]; then
        config=(-c "${COMP_WORDS[2]/#\~/$HOME}")
        i=3
    fi
    local command=${COMP_WORDS[i]}
    if ((COMP_CWORD < i)); then
        ((COMP_CWORD == 1)) && _strait_match -c || _strait_files
    elif ((COMP_CWORD == i)); then
        _strait_match $(_strait_help | sed -nE 's/^  ([a-z][a-z-]*) .*/\1/p') -c --help --version
    elif [[ $command == tunnel ]]; then
        _strait_tunnel $((i + 1))
    elif [[ $prev == --format ]]; then
        _strait_match $(_strait_formats "$command")
    elif [[ $prev == --project ]]; then
        _strait_match $(_strait_sql 'SHOW PROJECTS')
    elif [[ $prev == --for ]]; then
        _strait_match $(_strait_ask status | sed -n 's/^region,//p') $(_strait_first peers)
    elif [[ $command == cancel ]]; then
        _strait_match $(_strait_first tasks)
    elif [[ $cur == -* ]]; then
        _strait_match $(_strait_options "$command") --help
    elif [[ $command != sql || $prev == -f ]]; then
        _strait_files
    fi
}

_straitd() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if [[ $prev == -c || $prev == --config ]]; then
        _strait_files
    else
        _strait_match -c $(_strait_help | grep -oE -e '--[a-z][a-z-]*' | sort -u)
    fi
}

complete -F _strait strait
complete -F _straitd straitd
