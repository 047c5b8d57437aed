/*
 * bare - libfcgi and nothing else: the ceiling of any FastCGI program.
 *
 * bare SOCKET WORKERS BODY...: each worker answers /0 with the first body, /1
 * with the second and so on. A blocking loop, so a connection that the web
 * server keeps open has its worker to itself.
 */
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BODIES = 4, BODY_MAX = 65536 };

static struct {
	char text[BODY_MAX];
	int length;
} bodies[BODIES];

static int
read_body(int i, const char *path)
{
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	bodies[i].length = (int)fread(bodies[i].text, 1, BODY_MAX, f);
	return fclose(f);
}

static void
answer(FCGX_Request *rq, int count)
{
	const char *uri = FCGX_GetParam("REQUEST_URI", rq->envp);
	int i = uri && uri[0] == '/' ? uri[1] - '0' : 0;

	if (i < 0 || i >= count)
		i = 0;
	FCGX_FPrintF(rq->out, "Content-Type: application/json\r\n"
	    "Content-Length: %d\r\n\r\n", bodies[i].length);
	FCGX_PutStr(bodies[i].text, bodies[i].length, rq->out);
}

static void
work(int listener, int count)
{
	FCGX_Request rq;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	FCGX_InitRequest(&rq, listener, 0);
	while (FCGX_Accept_r(&rq) == 0) {
		answer(&rq, count);
		FCGX_Finish_r(&rq);
	}
	_exit(1);
}

int
main(int argc, char **argv)
{
	int listener, count = argc - 3;

	if (count < 1 || count > BODIES) {
		fprintf(stderr, "usage: bare SOCKET WORKERS BODY...\n");
		return 2;
	}
	for (int i = 0; i < count; i++)
		if (read_body(i, argv[3 + i]) != 0) {
			perror(argv[3 + i]);
			return 1;
		}
	unlink(argv[1]);
	if (FCGX_Init() != 0 || (listener = FCGX_OpenSocket(argv[1], 1024)) < 0)
		return 1;
	/* libfcgi has put a handler there, which a SIGTERM before pause() would waste */
	signal(SIGTERM, SIG_DFL);
	chmod(argv[1], 0666);
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0)
			work(listener, count);
	pause();	/* SIGTERM ends this, and this ends the workers */
	return 0;
}
