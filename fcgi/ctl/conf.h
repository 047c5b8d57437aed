/*
 * conf - the directives that rowhouse-ctl reads of rowhouse.conf.
 *
 * Owner    filled before a command runs; main.c names which of them
 */
#ifndef RH_CTL_CONF_H
#define RH_CTL_CONF_H

#include "serve/conf.h"

extern struct rh_serve_conf ctl_conf;

#endif
