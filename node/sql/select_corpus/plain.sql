SELECT DISTINCT a + 1, b * c, d / 2, s || 'x', -a % 3, CAST(s AS DECIMAL(5,2)) FROM q.t WHERE f OR NOT a IN (1, 2.5, NULL) AND s LIKE '%1_' ORDER BY 1 DESC LIMIT 2
