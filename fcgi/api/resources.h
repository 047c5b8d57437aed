/*
 * resources - the list of what rowhouse-fcgi serves.
 */
#ifndef API_RESOURCES_H
#define API_RESOURCES_H

#include "serve/app.h"

extern const struct rh_resource *const api_resources[];

#endif
