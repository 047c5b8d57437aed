/*
 * coherent_lua - the scripts of coherent.c; the layout of an entry's head.
 */
#ifndef RH_DATA_COHERENT_LUA_H
#define RH_DATA_COHERENT_LUA_H

#include "data/redis.h"

enum { RH_COHERENT_LOOK, RH_COHERENT_FILL, RH_COHERENT_TOMB, RH_COHERENT_DROP };
extern struct rh_script rh_coherent_scripts[];

#define RH_COHERENT_HEAD	48	/* bytes in front of an entry's value */

#endif
