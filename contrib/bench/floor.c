/*
 * floor - what libfcgi, libpq and the kernel cost, and nothing of ours.
 *
 * floor SOCKET WORKERS CONNINFO BODY ARGUMENTS SQL SQL: each worker answers
 * whatever is asked with BODY, after it sent both statements, prepared, in one
 * flush and read their rows. ARGUMENTS has a line for each request, four
 * columns apart by tabs: $1 to $4 of the statements.
 *
 * A worker watches the connections that it accepted, so none waits for one
 * that sits on another; a system call for each of epoll_wait, read, send, poll,
 * recv and write is all that there is. No guard, no log, no metrics, no spans,
 * no JSON, no limiter.
 */
#define _GNU_SOURCE
#include <fcgiapp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODY_MAX = 65536, ROWS_MAX = 32768, COLUMNS = 4 };

static char body[BODY_MAX];
static int body_n;
static char *rows[ROWS_MAX][COLUMNS];
static unsigned nrows;
static const char *sql[2];
/* bytea, uuid, float8, uuid: by pg_type.dat */
static const Oid types[COLUMNS] = { 17, 2950, 701, 2950 };

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "floor: %s: %s\n", what, why);
	_exit(1);
}

static void
read_body(const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		fail(path, "cannot be read");
	body_n = (int)fread(body, 1, BODY_MAX, f);
	fclose(f);
}

static void
read_rows(const char *path)
{
	char line[1024], *rest, *column;
	FILE *f = fopen(path, "r");

	if (!f)
		fail(path, "cannot be read");
	while (nrows < ROWS_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		rest = line;
		for (int i = 0; i < COLUMNS && (column = strsep(&rest, "\t")); i++)
			rows[nrows][i] = strdup(column);
		nrows++;
	}
	fclose(f);
	if (nrows == 0)
		fail(path, "is empty");
}

static PGconn *
open_session(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);
	char name[2] = "0";

	if (PQstatus(conn) != CONNECTION_OK)
		fail("PostgreSQL", PQerrorMessage(conn));
	for (int i = 0; i < 2; i++, name[0]++) {
		PGresult *r = PQprepare(conn, name, sql[i], COLUMNS, types);

		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			fail(sql[i], PQerrorMessage(conn));
		PQclear(r);
	}
	if (!PQenterPipelineMode(conn) || PQsetnonblocking(conn, 1) != 0)
		fail("PostgreSQL", "no pipeline");
	return conn;
}

/* The next result, after as many polls as it takes. */
static PGresult *
await(PGconn *conn)
{
	struct pollfd p = { .fd = PQsocket(conn), .events = POLLIN };

	while (PQisBusy(conn)) {
		if (poll(&p, 1, -1) < 0 || !PQconsumeInput(conn))
			fail("PostgreSQL", PQerrorMessage(conn));
	}
	return PQgetResult(conn);
}

static int
ask(PGconn *conn, char *const *row)
{
	ExecStatusType state = PGRES_EMPTY_QUERY;
	int tuples = 0;
	char name[2] = "0";
	PGresult *r;

	for (int i = 0; i < 2; i++, name[0]++) {
		if (!PQsendQueryPrepared(conn, name, COLUMNS,
		    (const char *const *)row, NULL, NULL, 1))
			fail("PostgreSQL", PQerrorMessage(conn));
	}
	if (!PQpipelineSync(conn) || PQflush(conn) != 0)
		fail("PostgreSQL", PQerrorMessage(conn));
	while (state != PGRES_PIPELINE_SYNC) {
		if (!(r = await(conn)))
			continue;
		state = PQresultStatus(r);
		if (state == PGRES_FATAL_ERROR)
			fail("a statement", PQresultErrorMessage(r));
		if (state == PGRES_TUPLES_OK)
			tuples = PQntuples(r);
		PQclear(r);
	}
	return tuples;
}

static void
serve(FCGX_Request *rq, int fd, PGconn *conn)
{
	static unsigned next;

	rq->keepConnection = 1;
	rq->ipcFd = fd;
	if (FCGX_Accept_r(rq) != 0)
		return;		/* it has closed it */
	FCGX_FPrintF(rq->out, "Status: %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n",
	    ask(conn, rows[next++ * 7919 % nrows]) ? "200 OK" : "404 Not Found",
	    body_n);
	FCGX_PutStr(body, body_n, rq->out);
	FCGX_Finish_r(rq);
	rq->ipcFd = -1;
}

static void
work(int listener, const char *conninfo)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.fd = listener };
	int epfd = epoll_create1(0);
	PGconn *conn = open_session(conninfo);
	FCGX_Request rq;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	FCGX_InitRequest(&rq, -1, 0);
	epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		if (epoll_wait(epfd, &ev, 1, -1) != 1)
			continue;
		if (ev.data.fd != listener) {
			serve(&rq, ev.data.fd, conn);
			continue;
		}
		ev.data.fd = accept4(listener, NULL, NULL, 0);
		ev.events = EPOLLIN;
		if (ev.data.fd >= 0)
			epoll_ctl(epfd, EPOLL_CTL_ADD, ev.data.fd, &ev);
	}
}

int
main(int argc, char **argv)
{
	int listener;

	if (argc != 8) {
		fprintf(stderr, "usage: floor SOCKET WORKERS CONNINFO BODY"
		    " ARGUMENTS SQL SQL\n");
		return 2;
	}
	read_body(argv[4]);
	read_rows(argv[5]);
	sql[0] = argv[6];
	sql[1] = argv[7];
	unlink(argv[1]);
	if (FCGX_Init() != 0 || (listener = FCGX_OpenSocket(argv[1], 1024)) < 0)
		return 1;
	/* libfcgi has put a handler there, which a SIGTERM before pause() would waste */
	signal(SIGTERM, SIG_DFL);
	chmod(argv[1], 0666);
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0)
			work(listener, argv[3]);
	pause();	/* SIGTERM ends this, and this ends the workers */
	return 0;
}
