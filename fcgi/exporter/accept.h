/*
 * accept - what a client's Accept and Accept-Encoding ask for.
 *
 * Shape    list elements with parameters, the weight "q" among them
 * Errors   none: what cannot be read counts as not said
 * Source   RFC 9110 sections 12.4.2, 12.5.1 and 12.5.3; OpenMetrics 1.0
 */
#ifndef RH_EXPORTER_ACCEPT_H
#define RH_EXPORTER_ACCEPT_H

#include "base/slice.h"
#include "obs/metric.h"

/*
 * OpenMetrics where it is named in a version we speak (1.0.0 or 0.0.1) and not
 * liked less than plain text; protobuf likewise, and before that; else
 * Prometheus text.
 */
enum rh_exposition accept_exposition(struct rh_slice accept);
/* application/json named, and liked more than HTML: browsers never do. */
bool accept_json(struct rh_slice accept);
/* gzip named, or covered by "*", with a weight above 0. */
bool accept_gzip(struct rh_slice accept_encoding);

#endif
