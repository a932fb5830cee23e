-- Run in the source project
SET odps.namespace.schema=false;
CLONE TABLE project_analytics.sales_data TO project_reporting.sales_data IF EXISTS OVERWRITE;
USE project_analytics;
ADD USER ALIYUN$destination_owner@aliyunid.com;
GRANT CreateTable, CreateInstance ON PROJECT project_analytics TO USER ALIYUN$destination_owner@aliyunid.com;
GRANT Select ON TABLE sales_data TO USER ALIYUN$destination_owner@aliyunid.com;
SELECT * FROM sales_data LIMIT 2;
DESC sales_data;
