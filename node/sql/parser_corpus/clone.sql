-- Run in the source project
SET odps.namespace.schema=false;
CLONE TABLE project_analytics.sales_data TO project_reporting.sales_data IF EXISTS OVERWRITE;
USE project_analytics;
ADD USER ALIYUN$destination_owner@aliyunid.com;
GRANT CreateTable, CreateInstance ON PROJECT project_analytics TO USER ALIYUN$destination_owner@aliyunid.com;
GRANT Select ON TABLE sales_data TO USER ALIYUN$destination_owner@aliyunid.com;
SELECT * FROM sales_data LIMIT 2;
DESC sales_data;
CLONE TABLE p.t PARTITION(d='2024-01-15'), PARTITION(d='2024-01-16', r='x') TO t IF EXISTS IGNORE;
CLONE TABLE p.default.t TO t IF EXISTS;
ALTER SNAPSHOT TABLE p.s SET OPTIONS(expiration_timestamp=TIMESTAMP '2030-01-01 00:00:00', description=NULL);
ALTER SNAPSHOT TABLE s HOLD;
ALTER SNAPSHOT TABLE s RELEASE;
CREATE OR REPLACE TABLE IF NOT EXISTS t CLONE p.base IN REGION 'ap-1' TIMESTAMP AS OF '2026-01-01 00:00:00';
CREATE EXTERNAL TABLE IF NOT EXISTS x (a BIGINT COMMENT 'c') COMMENT 't' PARTITIONED BY (p STRING) STORED BY 'h.C' WITH SERDEPROPERTIES ('d'='|') LOCATION 'oss://b/d/' TBLPROPERTIES ('k'='v');
CREATE EXTERNAL TABLE x (a BIGINT) STORED AS PARQUET LOCATION "oss://b/";
