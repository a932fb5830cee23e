WITH w AS (SELECT a, max(s) s FROM t GROUP BY a) SELECT (SELECT count(*) FROM u WHERE u.a = w.a), s FROM w WHERE a NOT IN (SELECT a FROM v) OR EXISTS (SELECT 1 FROM t x WHERE x.s = w.s)
