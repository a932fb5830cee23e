#include "store/db_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define LOG_BLOCK_BYTES  32768
#define LOG_HEADER_BYTES 7 /* checksum u32 | length u16, both little-endian | kind u8 */

/* ---- records ---- */

/* CRC-32C, reflected: what each byte makes of the eight bits that leave. */
#define CRC_POLYNOMIAL 0x82F63B78
static uint32_t crc_table[256];
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

static void crc_table_make(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ CRC_POLYNOMIAL : crc >> 1;
        crc_table[byte] = crc;
    }
}

static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    return crc >> 8 ^ crc_table[(crc ^ byte) & 0xFF];
}

static uint32_t load_u32_little(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* As the library writes it: turned. */
static uint32_t checksum_of(uint32_t crc)
{
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

static uint32_t record_checksum(struct span kind_and_content)
{
    uint32_t crc = UINT32_MAX;
    pthread_once(&crc_table_once, crc_table_make);
    for (size_t i = 0; i < kind_and_content.len; i++)
        crc = crc_step(crc, kind_and_content.data[i]);
    return checksum_of(crc);
}

enum log_kind { LOG_WHOLE = 1, LOG_FIRST = 2, LOG_MIDDLE = 3, LOG_LAST = 4 };

static size_t record_length(const uint8_t *head)
{
    return (size_t)head[4] | (size_t)head[5] << 8;
}

static bool record_is_whole(const uint8_t *head)
{
    return load_u32_little(head) == record_checksum(span_of(head + 6, record_length(head) + 1));
}

size_t db_log_end(struct span log)
{
    size_t end = 0;
    for (size_t at = 0; at + LOG_HEADER_BYTES <= log.len;) {
        size_t left = LOG_BLOCK_BYTES - at % LOG_BLOCK_BYTES;
        if (left < LOG_HEADER_BYTES) {
            at += left;
            continue;
        }
        const uint8_t *head = log.data + at;
        size_t len = record_length(head);
        if (len + LOG_HEADER_BYTES > left || len + LOG_HEADER_BYTES > log.len - at ||
            !record_is_whole(head))
            return end;
        at += LOG_HEADER_BYTES + len;
        if (head[6] == LOG_WHOLE || head[6] == LOG_LAST)
            end = at;
    }
    return end;
}

/* ---- how a file is ---- */

/* Whether a record may end here: at the end of the file or block, or before another that is whole. */
static bool record_may_end(struct span block, size_t at)
{
    if (at == block.len || LOG_BLOCK_BYTES - at < LOG_HEADER_BYTES)
        return true;
    return block.len - at >= LOG_HEADER_BYTES &&
           record_length(block.data + at) <= block.len - at - LOG_HEADER_BYTES &&
           record_is_whole(block.data + at);
}

/* Whether the header's checksum holds with any other length than its own, which goes beyond the end. */
static bool length_is_damaged(struct span block, size_t at)
{
    const uint8_t *head = block.data + at;
    uint32_t wanted = load_u32_little(head);
    uint32_t crc = crc_step(UINT32_MAX, head[6]);
    for (size_t end = at + LOG_HEADER_BYTES; end <= block.len; end++) {
        if (checksum_of(crc) == wanted && record_may_end(block, end))
            return true;
        if (end < block.len)
            crc = crc_step(crc, block.data[end]);
    }
    return false;
}

static bool is_zeros(struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.data[i] != 0)
            return false;
    }
    return true;
}

/* A piece is in the file's last block, which is short. *ret_at: of what is not whole. */
static enum db_log_state block_check(struct span block, size_t *ret_at)
{
    size_t at = 0;
    while (at + LOG_HEADER_BYTES <= block.len) {
        const uint8_t *head = block.data + at;
        size_t next = at + LOG_HEADER_BYTES + record_length(head);
        *ret_at = at;
        if (next > LOG_BLOCK_BYTES)
            return DB_LOG_DAMAGED;
        if (next > block.len)
            return length_is_damaged(block, at) ? DB_LOG_DAMAGED : DB_LOG_CUT;
        if (!record_is_whole(head))
            return is_zeros(span_slice(block, at, block.len - at)) ? DB_LOG_ZEROED : DB_LOG_DAMAGED;
        at = next;
    }
    *ret_at = block.len;
    return block.len == LOG_BLOCK_BYTES || at == block.len ? DB_LOG_WHOLE : DB_LOG_CUT;
}

/* Behind zeros there is nothing else: else a piece in the middle is gone. */
static enum db_log_state file_check(int file, uint8_t *block, uint64_t *ret_at)
{
    enum db_log_state state = DB_LOG_WHOLE;
    ssize_t got = LOG_BLOCK_BYTES;
    for (uint64_t at = 0; state < DB_LOG_DAMAGED && got == LOG_BLOCK_BYTES; at += LOG_BLOCK_BYTES) {
        got = pread(file, block, LOG_BLOCK_BYTES, (off_t)at);
        struct span span = span_of(block, got > 0 ? (size_t)got : 0);
        size_t stop = 0;
        if (state == DB_LOG_ZEROED) {
            if (!is_zeros(span))
                return DB_LOG_DAMAGED;
            continue;
        }
        state = block_check(span, &stop);
        *ret_at = at + stop;
    }
    return state;
}

enum db_log_state db_log_check(const char *path, uint64_t *ret_at)
{
    uint8_t *block MEM_CLEANUP = mem_alloc(LOG_BLOCK_BYTES);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return DB_LOG_WHOLE;
    pthread_once(&crc_table_once, crc_table_make);
    enum db_log_state state = file_check(file, block, ret_at);
    close(file);
    return state;
}

void db_logs_each(const char *folder, db_on_log *on_log, void *context)
{
    struct bytes path BYTES_CLEANUP = {0};
    DIR *dir = opendir(folder);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        size_t len = strlen(entry->d_name);
        if (len < 4 || strcmp(entry->d_name + len - 4, ".log") != 0)
            continue;
        bytes_clear(&path);
        bytes_printf(&path, "%s/%s", folder, entry->d_name);
        bytes_append_u8(&path, 0);
        on_log(context, (const char *)path.data);
    }
    if (dir != NULL)
        closedir(dir);
}

/* ---- one more record ---- */

void db_log_append(struct bytes *log, struct span record)
{
    bool first = true;
    for (bool last = false; !last; first = false) {
        size_t left = LOG_BLOCK_BYTES - log->len % LOG_BLOCK_BYTES;
        for (; left < LOG_HEADER_BYTES && left > 0; left--)
            bytes_append_u8(log, 0);
        if (left == 0)
            left = LOG_BLOCK_BYTES;
        size_t len = record.len < left - LOG_HEADER_BYTES ? record.len : left - LOG_HEADER_BYTES;
        last = len == record.len;
        uint8_t head[LOG_HEADER_BYTES] = {0};
        head[4] = (uint8_t)len;
        head[5] = (uint8_t)(len >> 8);
        head[6] = first ? (last ? LOG_WHOLE : LOG_FIRST) : (last ? LOG_LAST : LOG_MIDDLE);
        size_t at = log->len;
        bytes_append(log, head, sizeof(head));
        bytes_append(log, record.data, len);
        uint32_t checksum = record_checksum(span_of(log->data + at + 6, len + 1));
        for (int i = 0; i < 4; i++)
            log->data[at + (size_t)i] = (uint8_t)(checksum >> 8 * i);
        record = span_slice(record, len, record.len - len);
    }
}
