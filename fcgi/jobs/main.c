#include "config.h"

#include "api/resources.h"

int
main(int argc, char **argv)
{
	static const struct rh_app app = {
		.name = "rowhouse-jobs",
		.title = "Rowhouse",
		.version = PACKAGE_VERSION,
		.description =
		    "does what no request of a Rowhouse pool waits for",
		.resources = api_resources,
	};

	return rh_jobs_main(&app, argc, argv);
}
