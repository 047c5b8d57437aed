/*
 * json - JSON under construction: commas where they belong, texts escaped.
 *
 * Shape    the buffer's last byte says whether a comma is due; members have a
 *          name, elements of a list NULL
 * Errors   latched by the buffer
 * Source   RFC 8259
 */
#ifndef RH_EXPORTER_JSON_H
#define RH_EXPORTER_JSON_H

#include "base/buf.h"
#include "base/id.h"

void json_open(struct rh_buf *to, const char *name, char bracket);	/* { or [ */
void json_close(struct rh_buf *to, char bracket);
void json_text(struct rh_buf *to, const char *name, struct rh_slice text);
/* Left out where there is nothing to say. */
void json_some(struct rh_buf *to, const char *name, struct rh_slice text);
void json_int(struct rh_buf *to, const char *name, int64_t value);
void json_bool(struct rh_buf *to, const char *name, bool value);
/* null where it is not finite. */
void json_number(struct rh_buf *to, const char *name, double value);
/* ns as milliseconds with three decimals, as log lines have them. */
void json_ms(struct rh_buf *to, const char *name, uint64_t ns);
/* RFC 3339; null where wall_us is 0. */
void json_time(struct rh_buf *to, const char *name, int64_t wall_us);
void json_hex(struct rh_buf *to, const char *name, const void *bytes, size_t n);
void json_uuid(struct rh_buf *to, const char *name, struct rh_uuid id);

#endif
