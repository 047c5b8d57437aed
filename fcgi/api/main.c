#include "config.h"

#include "api/resources.h"

int
main(int argc, char **argv)
{
	static const struct rh_app app = {
		.name = "rowhouse-fcgi",
		.title = "Rowhouse",
		.version = PACKAGE_VERSION,
		.description = "serves tenant routes to a web server over FastCGI",
		.resources = api_resources,
	};

	return rh_app_main(&app, argc, argv);
}
