/*
 * headers - a recorded request's header fields.
 *
 * Shape    a JSON object by name, in the order in which they came; of one that
 *          came twice the values are joined by ", ". A FastCGI parameter has no
 *          case, so names are written as is common: X-Hub-Signature-256
 * Errors   none: past HEADERS_MAX of them the rest is left out; bytes that are
 *          no text become U+FFFD, controls blanks
 * Owner    the arena
 * Source   RFC 9110 sections 5.3, 7.6.1; RFC 3875 section 4.1.18
 *
 * Secrets of the sender's are not for his receiver's colleagues: they are
 * masked before anything is stored. Signatures stay, since nobody can verify a
 * webhook without.
 */
#ifndef INBOXES_HEADERS_H
#define INBOXES_HEADERS_H

#include "base/arena.h"
#include "http/fcgx.h"

#define HEADERS_MAX 128

struct rh_slice headers_json(struct rh_arena *arena, const struct rh_fcgx *fx);
/* Authorization, Cookie, X-Api-Key, whatever says token, secret, password … */
bool header_is_secret(struct rh_slice name);
/* Concerns one connection, or is made anew by who forwards (RFC 9110, 7.6.1). */
bool header_is_hop(struct rh_slice name);

#endif
