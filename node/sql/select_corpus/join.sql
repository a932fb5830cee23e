SELECT x.a, y.s FROM t x LEFT JOIN u y ON x.a = y.a AND y.d > 0 FULL JOIN v z ON z.b = x.b LEFT ANTI JOIN w q ON q.a = x.a WHERE x.p > DATE '2024-01-01'
