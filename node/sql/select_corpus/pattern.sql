SELECT s RLIKE '^(a|b)+$', s NOT REGEXP t, REGEXP_EXTRACT(s, '([0-9]+)x', 1), REGEXP_REPLACE(s, '(.)', '<\\\\1>', 2) FROM t WHERE s RLIKE 'x.*y'
