/*
 * auth - whether who asks has the token.
 *
 * Shape    Authorization: Bearer TOKEN, or Basic with any name and the token
 *          as the password, since that is what a browser can ask for
 * Errors   false: it is not the token, or there is none, or it cannot be read
 * Source   RFC 6750 section 2.1, RFC 7617
 */
#ifndef RH_EXPORTER_AUTH_H
#define RH_EXPORTER_AUTH_H

#include "base/slice.h"

bool auth_is_granted(struct rh_slice authorization, struct rh_slice token);

#endif
