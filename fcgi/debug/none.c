#include "config.h"

#include "debug/debug.h"

const struct rh_resource debug_resource = { .name = "debug" };
const struct rh_resource debug_jobs_resource = { .name = "debug_jobs" };
