CREATE SNAPSHOT TABLE Project_A.table_x_snapshot_20260101 CLONE Project_A.table_x;
XCOPY SNAPSHOT Project_A.table_x_snapshot_20260101 TO SNAPSHOT Project_B.table_x_snapshot_20260101 OPTIONS( src_region =” ap-southeast-1”);
SELECT * FROM Project_B.table_x_snapshot_20260101;
CREATE TABLE table_x CLONE table_x_snapshot_20260101;
CREATE SNAPSHOT TABLE a_snapshot_${var1} CLONE a;
XCOPY SNAPSHOT src_project.a_snapshot_$[yyyymmdd] TO SNAPSHOT a_snapshot_$[yyyymmdd] options(src_region="cn-hongkong");
