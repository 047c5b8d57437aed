-- The roles and the database that Rowhouse expects. Run once by a superuser;
-- running it again changes nothing.
--
--	psql -X -v ON_ERROR_STOP=1 -f roles.sql postgres
--
-- Passwords, where wanted (without them, pg_hba.conf decides):
--
--	-v owner_password=... -v app_password=...
--
-- Another name for the database: -v database=...
SET client_min_messages = warning;
\if :{?database}
\else
	\set database rowhouse
\endif

-- rowhouse_owner  owns the tables, and the function that   admin_database_url
--                 makes and drops the days of events;
--                 migrations only
-- rowhouse_app    the pool: owns nothing, and row-level    database_url
--                 security holds it
-- rowhouse_auth   owns the SECURITY DEFINER functions that look up a token
--                 before the tenant is known; nobody signs in as it
DO $$
BEGIN
	IF to_regrole('rowhouse_owner') IS NULL THEN
		CREATE ROLE rowhouse_owner LOGIN;
	END IF;
	IF to_regrole('rowhouse_app') IS NULL THEN
		CREATE ROLE rowhouse_app LOGIN;
	END IF;
	IF to_regrole('rowhouse_auth') IS NULL THEN
		CREATE ROLE rowhouse_auth NOLOGIN;
	END IF;
END
$$;

-- What a role of these names may have been given elsewhere is taken back.
ALTER ROLE rowhouse_owner NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE rowhouse_app NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE rowhouse_auth NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;

-- Only a member of a role may hand a function over to it.
GRANT rowhouse_auth TO rowhouse_owner;

\if :{?owner_password}
	ALTER ROLE rowhouse_owner PASSWORD :'owner_password';
\endif
\if :{?app_password}
	ALTER ROLE rowhouse_app PASSWORD :'app_password';
\endif

SELECT format('CREATE DATABASE %I OWNER rowhouse_owner ENCODING ''UTF8'' TEMPLATE template0', :'database')
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

-- No other role has business here.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO rowhouse_app;
