#include "config.h"

#include "api/resources.h"

#include "accounts/accounts.h"
#include "api_keys/api_keys.h"
#include "debug/debug.h"
#include "events/events.h"
#include "inboxes/inbox_requests.h"
#include "inboxes/inboxes.h"
#include "jobs/jobs.h"
#include "members/members.h"
#include "projects/projects.h"
#include "tasks/tasks.h"
#include "tenants/tenants.h"
#include "webhooks/webhooks.h"

const struct rh_resource *const api_resources[] = {
	&accounts_resource,
	&tenants_resource,
	&members_resource,
	&api_keys_resource,
	&projects_resource,
	&tasks_resource,
	&events_resource,
	&jobs_resource,
	&webhooks_resource,
	&deliveries_resource,
	&webhook_pauses_resource,
	&inboxes_resource,
	&inbox_requests_resource,
	&receive_resource,
	&forward_resource,
	&debug_resource,
	&debug_jobs_resource,
	NULL
};
