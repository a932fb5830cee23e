SELECT p, count(*), sum(b), avg(c), min(d), max(s), sum(DISTINCT a), avg(a) FROM t GROUP BY p HAVING count(s) > 0 ORDER BY p
