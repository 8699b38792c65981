/*
 * sup_engine_mail.h: letters from other threads to the publisher. Any thread. A letter is its sender's until it is posted, the publisher's
 * (take_mail()) afterwards.
 */
#ifndef SUP_ENGINE_MAIL_H
#define SUP_ENGINE_MAIL_H

#include "supervisor/sup_engine_int.h"

struct sup_mail *sup_mail_new(enum sup_mail_kind kind); /* zeroed; never NULL */
void sup_mail_post(struct sup_engine *e, struct sup_mail *mail);
void sup_mail_tell(struct sup_engine *e, enum sup_mail_kind kind); /* one that says nothing but its kind */
void sup_mail_tier(struct sup_engine *e, enum sup_mail_kind kind, struct sup_tier *t, struct sup_coming *coming); /* about a tier */
void sup_mails_free(struct sup_mail *mail); /* a list that nobody reads any more: the engine ends */

#endif
