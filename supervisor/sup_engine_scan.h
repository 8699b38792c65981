/*
 * sup_engine_scan.h: scans by the lifecycle process for orphans, or for a catalog. Publisher.
 */
#ifndef SUP_ENGINE_SCAN_H
#define SUP_ENGINE_SCAN_H

#include "supervisor/sup_engine_int.h"

void sup_scan_start(struct sup_engine *e);
void sup_scan_pump(struct sup_engine *e);
void sup_scan_lost(struct sup_engine *e);
bool sup_scan_take_found(struct sup_msg *c, const void *msg, size_t len);
bool sup_scan_take_scanned(struct sup_msg *c, const void *msg, size_t len);
int sup_scan_publish(struct sup_engine *e, struct sup_op *op); /* of FOUND */
void sup_scan_end(struct sup_engine *e, struct sup_op *op);

#endif
