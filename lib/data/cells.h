/*
 * cells - where in a table of shared memory a key may stand.
 *
 * Shape    sixteen cells: eight neighbours in the table's first eighth, then
 *          eight in the rest of it. What is not touched of a segment, not
 *          even read, costs nothing, so few keys cost little: two thousand of
 *          them, all over 65,536 cells of 16 bytes, had every page of it. A
 *          cell that is empty ends the search, for none becomes empty again
 * Owner    limit.c and advance.c
 */
#ifndef RH_DATA_CELLS_H
#define RH_DATA_CELLS_H

#include <stddef.h>
#include <stdint.h>

enum { RH_CELLS_ROW = 8, RH_CELLS_PLACES = 2 * RH_CELLS_ROW };

/* Of a table for so many keys, eight at the least: its cells. */
static inline size_t
rh_cells(unsigned keys)
{
	return (size_t)keys + RH_CELLS_PLACES;
}

/* The key's i-th place. */
static inline size_t
rh_cell_at(unsigned keys, uint64_t key, unsigned i)
{
	unsigned near = keys / 8, far = keys - near;

	return i < RH_CELLS_ROW ? key % near + i :
	    near + RH_CELLS_ROW + key % far + i - RH_CELLS_ROW;
}

#endif
