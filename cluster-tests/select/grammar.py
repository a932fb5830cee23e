"""Random SELECTs in two dialects at once: ours and DuckDB's.

A piece of a query is a Sql: the same thing said twice, and its type. What differs on purpose between the two is
in `Dialect` below and nowhere else. Each kind of piece is a feature; a feature is switched on when the node accepts its
probe, so what is not there yet is not asked for, and what is there must be met.
"""
from dataclasses import dataclass, field, replace
from decimal import Decimal


@dataclass(frozen=True)
class Sql:
    ours: str
    theirs: str
    type: str  # bigint double decimal string boolean date datetime; approximate: a DECIMAL with other digits
    aggregate: bool = False
    exact: bool = True  # False: a sum or mean of doubles: the last digits depend on the order


class Dialect:
    """Every known difference, each with its reason."""

    @staticmethod
    def text(value):
        """Our strings know backslashes, theirs do not."""
        ours = value.replace("\\", "\\\\").replace("'", "\\'")
        return Sql(f"'{ours}'", "'" + value.replace("'", "''") + "'", "string")

    @staticmethod
    def like(operand, pattern, negated):
        """A backslash escapes in our patterns; theirs want to be told."""
        word = "NOT LIKE" if negated else "LIKE"
        literal = Dialect.text(pattern)
        return Sql(f"{operand.ours} {word} {literal.ours}", f"{operand.theirs} {word} {literal.theirs} ESCAPE '\\'",
                   "boolean", operand.aggregate)

    @staticmethod
    def rlike(operand, pattern, negated):
        """A fit anywhere, on both sides; what the two engines read alike."""
        literal = Dialect.text(pattern)
        return Sql(f"{operand.ours} {'NOT ' if negated else ''}RLIKE {literal.ours}",
                   f"{'NOT ' if negated else ''}regexp_matches({operand.theirs}, {literal.theirs})", "boolean",
                   operand.aggregate)

    @staticmethod
    def order(item, descending):
        """NULL is our least value, their greatest unless told."""
        return (f"{item} DESC", f"{item} DESC NULLS LAST") if descending else (item, f"{item} NULLS FIRST")

    @staticmethod
    def decimal(value):
        return Sql(f"{value}BD", f"{value}", "decimal")

    @staticmethod
    def double(value):
        """1.5 is a DOUBLE here and a DECIMAL there."""
        text = repr(value)
        return Sql(text, f"CAST({text} AS DOUBLE)", "double")

    @staticmethod
    def divide(a, b):
        """Dividing by zero gives NULL here; there it is an infinity for doubles."""
        return Sql(f"({a.ours} / {b.ours})",
                   f"(CAST({a.theirs} AS DOUBLE) / CAST(nullif({b.theirs}, 0) AS DOUBLE))", "double", a.aggregate)

    @staticmethod
    def quotient_above(a, b, bound):
        """A quotient of DECIMAL is exact to its scale here and a DOUBLE there: not compared near the bound."""
        theirs = f"(CAST({a.theirs} AS DOUBLE) / nullif(CAST({b.theirs} AS DOUBLE), 0))"
        near = f"abs(CAST({a.ours} AS DOUBLE) / CAST({b.ours} AS DOUBLE) - {bound})"
        return Sql(f"({a.ours} / {b.ours} > {bound} AND {near} > 0.001)",
                   f"({theirs} > CAST({bound} AS DOUBLE) AND abs({theirs} - CAST({bound} AS DOUBLE)) > CAST(0.001 AS DOUBLE))",
                   "boolean")

    @staticmethod
    def remainder(a, b):
        return Sql(f"({a.ours} % {b.ours})", f"({a.theirs} % nullif({b.theirs}, 0))", "bigint", a.aggregate)

    @staticmethod
    def sum(operand, distinct):
        """Their sums of integers are wider, and an empty sum of doubles is the same NULL."""
        inner = ("DISTINCT " if distinct else "")
        cast = {"bigint": "BIGINT", "double": "DOUBLE"}.get(operand.type)
        theirs = f"sum({inner}{operand.theirs})"
        return Sql(f"sum({inner}{operand.ours})", f"CAST({theirs} AS {cast})" if cast else theirs, operand.type, True,
                   operand.type != "double")

    @staticmethod
    def mean(operand):
        """The mean of a DECIMAL is a DECIMAL here and a DOUBLE there: compared as numbers, roughly."""
        kind = "approximate" if operand.type == "decimal" else "double"
        return Sql(f"avg({operand.ours})", f"avg({operand.theirs})", kind, True, False)


def say(text, *parts, kind, aggregate=None):
    """The same words in both dialects around the parts."""
    return Sql(text.format(*[part.ours for part in parts]), text.format(*[part.theirs for part in parts]), kind,
               any(part.aggregate for part in parts) if aggregate is None else aggregate,
               all(part.exact for part in parts))


# name -> the statement that shows that the node has it ({t}: a table with the columns of TABLE below)
PROBES = {
    "arithmetic": "SELECT k + 1 FROM {t} WHERE k = 0 LIMIT 1",
    "division": "SELECT k / 2, k % 2 FROM {t} LIMIT 1",
    "concat": "SELECT s || 'x' FROM {t} LIMIT 1",
    "cast": "SELECT CAST(k AS STRING) FROM {t} LIMIT 1",
    "between": "SELECT id FROM {t} WHERE k BETWEEN 1 AND 2 LIMIT 1",
    "in": "SELECT id FROM {t} WHERE k IN (1, 2) LIMIT 1",
    "like": "SELECT id FROM {t} WHERE s LIKE 'a%' LIMIT 1",
    "rlike": "SELECT id FROM {t} WHERE s RLIKE 'a' LIMIT 1",
    "regexp_replace": "SELECT regexp_replace(s, 'a', 'b') FROM {t} LIMIT 1",
    "is_null": "SELECT id FROM {t} WHERE k IS NULL LIMIT 1",
    "group_by": "SELECT k, count(*) FROM {t} GROUP BY k LIMIT 1",
    "having": "SELECT k FROM {t} GROUP BY k HAVING count(*) > 1 LIMIT 1",
    "distinct": "SELECT DISTINCT k FROM {t} LIMIT 1",
    "order_by": "SELECT k FROM {t} ORDER BY k DESC LIMIT 1",
    "aggregate_distinct": "SELECT count(DISTINCT k), sum(DISTINCT k) FROM {t}",
    "case": "SELECT CASE WHEN k > 1 THEN 1 ELSE 2 END FROM {t} LIMIT 1",
    "coalesce": "SELECT coalesce(k, 1) FROM {t} LIMIT 1",
    "abs": "SELECT abs(k) FROM {t} LIMIT 1",
    "decimal_product": "SELECT m * m FROM {t} LIMIT 1",
    "decimal_quotient": "SELECT m / 2BD FROM {t} LIMIT 1",
    "mixed": "SELECT id FROM {t} WHERE m > y OR m = k LIMIT 1",
    "date_add": "SELECT dateadd(d, 1, 'dd') FROM {t} LIMIT 1",
    "date_part": "SELECT year(d), month(ts), day(d) FROM {t} LIMIT 1",
    "date_diff": "SELECT datediff(d, DATE '2024-01-01', 'mm') FROM {t} LIMIT 1",
    "lower": "SELECT lower(s), upper(s) FROM {t} LIMIT 1",
    "length": "SELECT length(s) FROM {t} LIMIT 1",
    "substr": "SELECT substr(s, 2, 3) FROM {t} LIMIT 1",
    "nullif": "SELECT nullif(k, 1) FROM {t} LIMIT 1",
    "inner_join": "SELECT a.id FROM {t} a JOIN {r} b ON a.k = b.k LIMIT 1",
    "left_join": "SELECT a.id FROM {t} a LEFT JOIN {r} b ON a.k = b.k LIMIT 1",
    "full_join": "SELECT a.id FROM {t} a FULL OUTER JOIN {r} b ON a.k = b.k LIMIT 1",
    "cross_join": "SELECT a.id FROM {r} a CROSS JOIN {r} b LIMIT 1",
    "semi_join": "SELECT a.id FROM {t} a LEFT SEMI JOIN {r} b ON a.k = b.k LIMIT 1",
    "anti_join": "SELECT a.id FROM {t} a LEFT ANTI JOIN {r} b ON a.k = b.k LIMIT 1",
    "from_subquery": "SELECT q.k FROM (SELECT k FROM {t}) q LIMIT 1",
    "in_subquery": "SELECT id FROM {t} WHERE k IN (SELECT k FROM {r}) LIMIT 1",
    "exists": "SELECT id FROM {t} a WHERE EXISTS (SELECT 1 FROM {r} b WHERE b.k = a.k) LIMIT 1",
    "scalar_subquery": "SELECT (SELECT max(k) FROM {r}) FROM {t} LIMIT 1",
    "with": "WITH q AS (SELECT k FROM {t}) SELECT k FROM q LIMIT 1",
    "union_all": "SELECT k FROM {t} UNION ALL SELECT k FROM {r} LIMIT 1",
    "union": "SELECT k FROM {t} UNION SELECT k FROM {r} LIMIT 1",
    "intersect": "SELECT k FROM {t} INTERSECT SELECT k FROM {r} LIMIT 1",
    "except": "SELECT k FROM {t} EXCEPT SELECT k FROM {r} LIMIT 1",
}

# column -> (type here, type there, type of a Sql); all INT are BIGINT there, as our arithmetic is
TABLE = {
    "id": ("BIGINT", "BIGINT", "bigint"),
    "k": ("INT", "BIGINT", "bigint"),  # small: for arithmetic
    "b": ("BIGINT", "BIGINT", "bigint"),  # to the ends of its range: compared only
    "x": ("DOUBLE", "DOUBLE", "double"),  # with NaN, infinities, -0
    "y": ("DOUBLE", "DOUBLE", "double"),  # eighths: sums are exact
    "m": ("DECIMAL(9,2)", "DECIMAL(9,2)", "decimal"),
    "w": ("DECIMAL(30,8)", "DECIMAL(30,8)", "decimal"),  # wider than 64 bits
    "s": ("STRING", "VARCHAR", "string"),
    "u": ("STRING", "VARCHAR", "string"),  # unicode, long common prefixes
    "f": ("BOOLEAN", "BOOLEAN", "boolean"),
    "d": ("DATE", "DATE", "date"),
    "ts": ("DATETIME", "TIMESTAMP", "datetime"),
    "p": ("STRING", "VARCHAR", "string"),  # partition column
    "n": ("INT", "BIGINT", "bigint"),  # partition column
}
SUMMABLE = ("k", "y", "m", "w")


@dataclass
class Query:
    """Clauses apart, so that a query that differs can be made smaller."""
    items: list
    source: Sql
    where: list = field(default_factory=list)
    group_by: list = field(default_factory=list)
    having: list = field(default_factory=list)
    distinct: bool = False
    order: list = field(default_factory=list)  # descending or not, of all items in turn; or empty
    limit: str = ""
    combined: list = field(default_factory=list)  # (word, Query): UNION ALL and others
    prefix: Sql = None  # WITH

    def text(self, ours):
        def pick(sql):
            return sql.ours if ours else sql.theirs
        parts = [pick(self.prefix)] if self.prefix else []
        parts += ["SELECT", "DISTINCT"] if self.distinct else ["SELECT"]
        parts.append(", ".join(f"{pick(item)} AS c{i}" for i, item in enumerate(self.items)))
        parts += ["FROM", pick(self.source)]
        if self.where:
            parts += ["WHERE", " AND ".join(f"({pick(sql)})" for sql in self.where)]
        if self.group_by:
            parts += ["GROUP BY", ", ".join(pick(sql) for sql in self.group_by)]
        if self.having:
            parts += ["HAVING", " AND ".join(f"({pick(sql)})" for sql in self.having)]
        for word, query in self.combined:
            parts += [word, query.text(ours)]
        if self.order:
            which = 0 if ours else 1
            parts += ["ORDER BY", ", ".join(Dialect.order(f"c{i}", down)[which] for i, down in enumerate(self.order))]
        return " ".join(parts + [self.limit]).strip()

    def smaller(self):
        """Queries with one piece less."""
        for name in ("where", "having", "combined"):
            pieces = getattr(self, name)
            for i in range(len(pieces)):
                yield replace(self, **{name: pieces[:i] + pieces[i + 1:]})
        if self.limit:
            yield replace(self, limit="")
        if self.order:
            yield replace(self, order=[], limit="")
        if self.distinct:
            yield replace(self, distinct=False)
        for i in range(len(self.items)):
            if len(self.items) > 1 and not self.combined:
                yield replace(self, items=self.items[:i] + self.items[i + 1:],
                              order=self.order[:i] + self.order[i + 1:])


class Grammar:
    """One random stream of queries over the tables `t` and `r`."""

    def __init__(self, rng, samples, features):
        self.rng, self.samples, self.features = rng, samples, features
        self.met = dict.fromkeys(features, 0)
        self.qualifier = ""
        self.met_here = set()

    def chance(self, feature, share):
        """With the feature on, true in this share of cases; and it is counted."""
        if feature in self.features and self.rng.random() < share:
            self.met_here.add(feature)
            return True
        return False

    # ---- values

    def column(self, name):
        return Sql(self.qualifier + name, self.qualifier + name, TABLE[name][2])

    def any_column(self, kind):
        return self.column(self.rng.choice([name for name, types in TABLE.items() if types[2] == kind]))

    def literal(self, kind, near=None):
        """Mostly a value that is in the table, so that conditions hold for some rows."""
        rng = self.rng
        if rng.random() < 0.03:
            return Sql("NULL", "NULL", kind)
        names = [near] if near in TABLE else [name for name, types in TABLE.items() if types[2] == kind]
        value = rng.choice(self.samples[rng.choice(names)])
        if value is None:
            value = {"bigint": 3, "double": 0.5, "decimal": Decimal("1.25"), "string": "a", "boolean": True,
                     "date": "2024-02-29", "datetime": "2024-02-29 12:00:00"}[kind]
        return self.constant(kind, value)

    def constant(self, kind, value):
        if kind == "bigint":
            number = value if self.rng.random() < 0.8 else max(-2**63 + 1, min(2**63 - 1, value + self.rng.randint(-2, 2)))
            return Sql(str(number), str(number), kind)
        if kind == "double":
            if value != value or value in (float("inf"), float("-inf")):
                name = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
                return Sql(f"CAST('{name}' AS DOUBLE)", f"CAST('{name}' AS DOUBLE)", kind)
            return Dialect.double(value)
        if kind == "decimal":
            return Dialect.decimal(f"{value:f}")
        if kind == "string":
            cut = value if self.rng.random() < 0.7 else value[:self.rng.randint(0, len(value))]
            return Dialect.text(cut)
        if kind == "boolean":
            word = "true" if value else "false"
            return Sql(word, word, kind)
        word = "DATE" if kind == "date" else "DATETIME"
        ours = f"'{value}'" if self.rng.random() < 0.3 else f"{word} '{value}'"
        return Sql(ours, f"{'DATE' if kind == 'date' else 'TIMESTAMP'} '{value}'", kind)

    def number(self, depth):
        """Small integers: no overflow."""
        rng = self.rng
        if depth > 0 and self.chance("arithmetic", 0.4):
            return say("({} " + rng.choice("+-*") + " {})", self.number(depth - 1), self.number(0), kind="bigint")
        if depth > 0 and self.chance("division", 0.1):
            return Dialect.remainder(self.number(depth - 1), self.number(0))
        if depth > 0 and self.chance("case", 0.15):
            return self.case("bigint", depth)
        if depth > 0 and self.chance("coalesce", 0.1):
            return say("coalesce({}, {})", self.number(0), self.number(0), kind="bigint")
        if depth > 0 and self.chance("abs", 0.1):
            return say("abs({})", self.number(depth - 1), kind="bigint")
        if depth > 0 and self.chance("nullif", 0.1):
            return say("nullif({}, {})", self.column("k"), self.literal("bigint", "k"), kind="bigint")
        if depth > 0 and self.chance("date_part", 0.1):
            return say(rng.choice(("year", "month", "day")) + "({})", self.any_column(rng.choice(("date", "datetime"))),
                       kind="bigint")
        if depth > 0 and self.chance("date_diff", 0.3):
            a, b = self.constant("date", rng.choice(self.samples["d"]) or "2024-02-29"), self.column("d")
            unit, theirs = rng.choice((("dd", "day"), ("mm", "month"), ("yyyy", "year")))
            return Sql(f"datediff({a.ours}, {b.ours}, '{unit}')", f"date_diff('{theirs}', {b.theirs}, {a.theirs})", "bigint")
        if depth > 0 and self.chance("length", 0.1):
            return say("length({})", self.any_column("string"), kind="bigint")
        return self.column(rng.choice(("k", "k", "n"))) if rng.random() < 0.7 else self.literal("bigint", "k")

    def case(self, kind, depth):
        parts = [self.condition(0), self.value(kind, 0), self.condition(0), self.value(kind, depth - 1)]
        text = "CASE WHEN {} THEN {} WHEN {} THEN {}"
        if self.rng.random() < 0.7:
            return say(text + " ELSE {} END", *parts, self.value(kind, 0), kind=kind)
        return say(text + " END", *parts, kind=kind)

    def text(self, depth):
        if depth > 0 and self.chance("concat", 0.2):
            return say("({} || {})", self.text(depth - 1), self.text(0), kind="string")
        if depth > 0 and self.chance("cast", 0.2):
            inner = self.rng.choice((self.number(0), self.any_column("bigint"), self.any_column("date")))
            return say("CAST({} AS STRING)", inner, kind="string")
        if depth > 0 and self.chance("lower", 0.15):
            return say(self.rng.choice(("lower", "upper")) + "({})", self.column("s"), kind="string")
        if depth > 0 and self.chance("substr", 0.15):
            return say("substr({}, " + f"{self.rng.randint(1, 5)}, {self.rng.randint(0, 4)})", self.any_column("string"),
                       kind="string")
        if depth > 0 and self.chance("regexp_replace", 0.2):
            pattern, text = Dialect.text(self.rng.choice(("[a-c]", "^.", "([a-z])([0-9])", "[^a-z]+"))), self.any_column("string")
            with_ = Dialect.text(self.rng.choice(("", "<\\0>", "x")))
            return Sql(f"regexp_replace({text.ours}, {pattern.ours}, {with_.ours})",
                       f"regexp_replace({text.theirs}, {pattern.theirs}, {with_.theirs}, 'g')", "string")
        return self.any_column("string") if self.rng.random() < 0.8 else self.literal("string")

    def value(self, kind, depth):
        rng = self.rng
        if kind == "bigint":
            return self.number(depth)
        if kind == "string":
            return self.text(depth)
        if kind == "double":
            if depth > 0 and self.chance("division", 0.2):
                return Dialect.divide(self.number(0), self.number(0))
            if depth > 0 and self.chance("arithmetic", 0.3):
                return say("({} " + rng.choice("+-*") + " {})", self.column("y"), self.column(rng.choice("xy")),
                           kind="double")
        if kind == "decimal" and depth > 0 and self.chance("decimal_product", 0.2):
            return say("({} * {})", self.column("m"), self.column("m") if rng.random() < 0.5
                       else self.literal("decimal", "m"), kind="decimal")
        if kind == "date" and depth > 0 and self.chance("date_add", 0.3):
            days, day = rng.randint(-400, 400), self.column("d")
            return Sql(f"dateadd({day.ours}, {days}, 'dd')", f"CAST({day.theirs} + ({days}) * INTERVAL 1 DAY AS DATE)", "date")
        if kind == "decimal" and depth > 0 and self.chance("arithmetic", 0.3):
            return say("({} " + rng.choice("+-") + " {})", self.column("m"), self.literal("decimal", "m"), kind="decimal")
        if kind == "boolean" and depth > 0:
            return say("({})", self.condition(depth - 1), kind="boolean")
        return self.any_column(kind)

    # ---- conditions

    def simple_condition(self):
        """A column and literals, mostly: what prunes."""
        rng = self.rng
        name = rng.choice(list(TABLE))
        kind, operand = TABLE[name][2], self.column(name)
        if self.chance("is_null", 0.15):
            return say(rng.choice(("{} IS NULL", "{} IS NOT NULL")), operand, kind="boolean")
        if kind == "boolean":
            return rng.choice((operand, say("{} = {}", operand, self.literal(kind), kind="boolean")))
        if self.chance("between", 0.2):
            return say(rng.choice(("{} BETWEEN {} AND {}", "{} NOT BETWEEN {} AND {}")), operand,
                       self.literal(kind, name), self.literal(kind, name), kind="boolean")
        if self.chance("in", 0.25):
            items = [self.literal(kind, name) for _ in range(rng.randint(1, 5))]
            text = rng.choice(("{} IN (", "{} NOT IN (")) + ", ".join(["{}"] * len(items)) + ")"
            return say(text, operand, *items, kind="boolean")
        if kind == "string" and self.chance("like", 0.4):
            return Dialect.like(operand, self.pattern(name), rng.random() < 0.3)
        if kind == "string" and self.chance("rlike", 0.3):
            return Dialect.rlike(operand, self.expression(name), rng.random() < 0.3)
        sides = [operand, self.literal(kind, name)]
        rng.shuffle(sides)
        return say("{} " + rng.choice(("=", "<>", "<", "<=", ">", ">=")) + " {}", *sides, kind="boolean")

    def pattern(self, name):
        value = self.rng.choice(self.samples[name]) or "a"
        start = value[:self.rng.randint(0, min(len(value), 40))]
        start = "".join("\\" + c if c in "%_\\" else c for c in start)
        return start + self.rng.choice(("%", "%", "%", "", "_", "_%", "%a", "%" + value[-1:].replace("\\", "")))

    def expression(self, name):
        """A regular expression, from what is in the column."""
        rng = self.rng
        value = rng.choice(self.samples[name]) or "a"
        start = "".join("\\" + c if c in ".\\*+?()[]{}|^$" else c for c in value[:rng.randint(0, 12)])
        tail = rng.choice(("", ".", ".*", "[a-c]$", "[^0-9]+", "(b|zz?)", "\\d{2,3}", "(..)*$", "$"))
        return rng.choice(("", "^")) + start + tail

    def condition(self, depth):
        rng = self.rng
        roll = rng.random()
        if depth > 0 and roll < 0.3:
            word = rng.choice((" AND ", " OR "))
            parts = [self.condition(depth - 1) for _ in range(rng.randint(2, 3))]
            return say(word.join(["({})"] * len(parts)), *parts, kind="boolean")
        if depth > 0 and roll < 0.4:
            return say("NOT ({})", self.condition(depth - 1), kind="boolean")
        if depth > 0 and roll < 0.5:
            kind = rng.choice(("bigint", "string", "double", "decimal", "date", "datetime"))
            return say("{} " + rng.choice(("=", "<>", "<", "<=", ">", ">=")) + " {}", self.value(kind, 1),
                       self.value(kind, 1), kind="boolean")
        if depth > 0 and self.chance("mixed", 0.1):
            sides = [self.column(rng.choice("mw")), self.column(rng.choice(("k", "y", "id", "m")))]
            rng.shuffle(sides)
            return say("{} " + rng.choice(("=", "<>", "<", "<=", ">", ">=")) + " {}", *sides, kind="boolean")
        if depth > 0 and self.chance("decimal_quotient", 0.04):
            return Dialect.quotient_above(self.column("m"), self.literal("decimal", "m"), rng.choice(("0.3", "1.7", "-2.9", "11.3")))
        if depth > 0 and not self.qualifier and self.chance("in_subquery", 0.06):
            return say(rng.choice(("k IN ({})", "k NOT IN ({})")), self.inner("k"), kind="boolean")
        return self.simple_condition()

    def inner(self, column):
        """A SELECT of one column of the other table."""
        where = self.simple_condition()
        return Sql(f"SELECT {column} FROM r WHERE {where.ours}", f"SELECT {column} FROM r WHERE {where.theirs}", "query")

    # ---- aggregates

    def aggregate(self):
        rng = self.rng
        kind = rng.choice(("count", "count_all", "sum", "min", "max", "avg"))
        if kind == "count_all":
            return Sql("count(*)", "count(*)", "bigint", True)
        distinct = kind in ("count", "sum") and self.chance("aggregate_distinct", 0.25)
        if kind == "count":
            return say("count(" + ("DISTINCT " if distinct else "") + "{})", self.column(rng.choice(list(TABLE))),
                       kind="bigint", aggregate=True)
        if kind in ("min", "max"):
            operand = self.column(rng.choice([name for name in TABLE if name != "f"]))
            return say(kind + "({})", operand, kind=operand.type, aggregate=True)
        operand = self.column(rng.choice(SUMMABLE))
        if kind == "avg":
            return Dialect.mean(operand)
        if operand.type == "bigint" and rng.random() < 0.3:
            number = self.number(1)
            operand = operand if number.ours == "NULL" else number  # SUM(NULL) is a DOUBLE here
        return Dialect.sum(operand, distinct)

    # ---- queries

    def query(self):
        """A query; what it has of features is counted when the caller says that it ran."""
        self.met_here = set()
        self.qualifier = ""
        roll = self.rng.random()
        if roll < 0.12:
            query = self.joined()
        elif roll < 0.2:
            query = self.nested()
        elif roll < 0.27:
            query = self.summary()
        else:
            query = self.plain(Sql("t", "t", "table"))
        if roll > 0.9:
            self.combine(query)
        return query

    def summary(self):
        """COUNT, MIN, MAX alone: whole row groups are answered from their statistics."""
        rng = self.rng
        names = [name for name in TABLE if name != "f"]
        items = [say(rng.choice(("count", "min", "max")) + "({})", self.column(rng.choice(names)), kind="", aggregate=True)
                 for _ in range(rng.randint(1, 4))]
        items = [replace(item, type="bigint" if item.ours.startswith("count") else TABLE[item.ours[4:-1]][2]) for item in items]
        query = Query(items, Sql("t", "t", "table"))
        query.where = [self.simple_condition() for _ in range(rng.randint(0, 2))]
        return query

    def ran(self):
        for feature in self.met_here:
            self.met[feature] += 1

    def plain(self, source):
        rng = self.rng
        query = Query([], source)
        if rng.random() < 0.85:
            query.where = [self.condition(2) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        if self.chance("group_by", 0.3):
            keys = [self.value(rng.choice(("bigint", "string", "boolean", "date", "decimal", "double")), 1)
                    if rng.random() < 0.4 else self.column(rng.choice(("k", "s", "f", "d", "p", "n", "m")))
                    for _ in range(rng.randint(1, 2))]
            keys = [key if any(c.isalpha() for c in key.ours) else self.column("k") for key in keys]  # 3: a position
            query.group_by = keys
            query.items = keys + [self.aggregate() for _ in range(rng.randint(0, 3))]
            if self.chance("having", 0.3):
                query.having = [say("{} " + rng.choice(("<", ">", "<>")) + " {}", Sql("count(*)", "count(*)", "bigint", True),
                                    Sql(*[str(rng.randint(1, 30))] * 2, "bigint"), kind="boolean")]
        elif rng.random() < 0.4:
            query.items = [self.aggregate() for _ in range(rng.randint(1, 4))]
        else:
            kinds = ("bigint", "double", "decimal", "string", "boolean", "date", "datetime")
            query.items = [self.value(rng.choice(kinds), 2) for _ in range(rng.randint(1, 4))]
            query.distinct = self.chance("distinct", 0.15)
            self.thin_out(query, "id")
        self.finish(query)
        return query

    def thin_out(self, query, column):
        """Most results are long enough with a part of the rows; the rest of WHERE prunes as before."""
        if self.chance("division", 0.85):
            share = f"{column} % 16 = {self.rng.randint(0, 15)}"
            query.where.append(Sql(share, share, "boolean"))

    def finish(self, query):
        """ORDER BY all items: then LIMIT says which rows, whatever the order of equal ones."""
        if not self.chance("order_by", 0.5):
            return
        query.order = [self.rng.random() < 0.5 for _ in query.items]
        if self.rng.random() < 0.5 and all(item.exact for item in query.items):
            query.limit = f"LIMIT {self.rng.choice((0, 1, 3, 10, 100))}"

    def joined(self):
        kinds = [name for name in ("inner_join", "left_join", "full_join", "semi_join", "anti_join")
                 if name in self.features]
        if not kinds:
            return self.plain(Sql("t", "t", "table"))
        if self.chance("cross_join", 0.1):
            return self.crossed()
        kind = self.rng.choice(kinds)
        self.met_here.add(kind)
        ours, theirs = {"inner_join": ("JOIN",) * 2, "left_join": ("LEFT JOIN",) * 2,
                        "full_join": ("FULL OUTER JOIN",) * 2, "semi_join": ("LEFT SEMI JOIN", "SEMI JOIN"),
                        "anti_join": ("LEFT ANTI JOIN", "ANTI JOIN")}[kind]
        key = self.rng.choice(("id", "b", "s"))
        more = Sql("", "", "boolean")
        self.qualifier = "j."
        if kind != "full_join" and self.rng.random() < 0.4:
            condition = self.simple_condition()
            more = Sql(f" AND {condition.ours}", f" AND {condition.theirs}", "boolean")
        on = f"a.{key} = j.{key}"
        source = Sql(f"t a {ours} r j ON {on}{more.ours}", f"t a {theirs} r j ON {on}{more.theirs}", "table")
        query = Query([], source)
        sides = ["a."] if kind in ("semi_join", "anti_join") else ["a.", "j."]
        for _ in range(self.rng.randint(0, 2)):
            self.qualifier = self.rng.choice(sides)
            query.where.append(self.condition(1))
        for _ in range(self.rng.randint(1, 3)):
            self.qualifier = self.rng.choice(sides)
            query.items.append(self.value(self.rng.choice(("bigint", "string", "date", "decimal")), 1))
        self.thin_out(query, "a.id")
        if self.rng.random() < 0.3:
            query.items = [Sql("count(*)", "count(*)", "bigint", True), self.aggregate()]
        self.finish(query)
        return query

    def crossed(self):
        """All pairs of the small table: counted, not shown."""
        query = Query([Sql("count(*)", "count(*)", "bigint", True)], Sql(*["r a CROSS JOIN r j"] * 2, "table"))
        for self.qualifier in ("a.", "j."):
            query.where.append(self.condition(1))
            query.items.append(self.aggregate())
        return query

    def nested(self):
        roll = self.rng.random()
        if self.chance("from_subquery", 0.5):
            inner = self.condition(1)
            return self.plain(Sql(f"(SELECT * FROM t WHERE {inner.ours}) q", f"(SELECT * FROM t WHERE {inner.theirs}) q", "table"))
        if roll < 0.5 and self.chance("with", 1):
            inner = self.condition(1)
            query = self.plain(Sql("q", "q", "table"))
            query.prefix = Sql(f"WITH q AS (SELECT * FROM t WHERE {inner.ours})",
                               f"WITH q AS (SELECT * FROM t WHERE {inner.theirs})", "with")
            return query
        query = self.plain(Sql("t", "t", "table"))
        if not query.group_by and not any(item.aggregate for item in query.items) and self.chance("scalar_subquery", 0.7):
            inner = self.simple_condition()
            query.items.append(Sql(f"(SELECT max(k) FROM r WHERE {inner.ours})",
                                   f"(SELECT max(k) FROM r WHERE {inner.theirs})", "bigint"))
            query.order, query.limit = [], ""
        elif self.chance("exists", 0.7):
            word = self.rng.choice(("EXISTS", "NOT EXISTS"))
            text = f"{word} (SELECT 1 FROM r WHERE r.b = t.b)"
            query.where.append(Sql(text, text, "boolean"))
        return query

    def combine(self, query):
        words = [(name, word) for name, word in (("union_all", "UNION ALL"), ("union", "UNION"),
                                                 ("intersect", "INTERSECT"), ("except", "EXCEPT"))
                 if name in self.features]
        if not words or query.prefix or any(not item.exact or item.type in ("double", "approximate")
                                            for item in query.items):
            return
        name, word = self.rng.choice(words)
        other = Query([self.column_like(item) for item in query.items], Sql("r", "r", "table"),
                      where=[self.unqualified_condition()])
        query.combined.append((word, other))
        self.met_here.add(name)

    def unqualified_condition(self):
        self.qualifier = ""
        return self.condition(1)

    def column_like(self, item):
        self.qualifier = ""
        return self.any_column(item.type) if item.type != "decimal" else self.column("m")
