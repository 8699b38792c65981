/*
 * sup_engine_mail.c: letters to the publisher, from whichever thread.
 */
#include <sys/eventfd.h>

#include "supervisor/sup_engine_mail.h"

struct sup_mail *sup_mail_new(enum sup_mail_kind kind)
{
	struct sup_mail *mail = calloc(1, sizeof(*mail));

	OM_ASSERT(mail); /* 48 bytes; without them a change would never be answered, or a tier hang between two phases */
	mail->kind = kind;
	return mail;
}

void sup_mail_post(struct sup_engine *e, struct sup_mail *mail)
{
	mail->next = NULL;
	pthread_mutex_lock(&e->inbox_lock);
	*e->inbox_end = mail;
	e->inbox_end = &mail->next;
	pthread_mutex_unlock(&e->inbox_lock);
	(void)eventfd_write(e->inbox_fd, 1); /* fails only when it is already far from zero */
}

void sup_mail_tell(struct sup_engine *e, enum sup_mail_kind kind) { sup_mail_post(e, sup_mail_new(kind)); }

void sup_mail_tier(struct sup_engine *e, enum sup_mail_kind kind, struct sup_tier *t, struct sup_coming *coming)
{
	struct sup_mail *m = sup_mail_new(kind);

	m->tier = t;
	m->coming = coming;
	sup_mail_post(e, m);
}

void sup_mails_free(struct sup_mail *mail)
{
	while (mail) {
		struct sup_mail *next = mail->next;
		if (mail->kind == SUP_MAIL_JOB || mail->kind == SUP_MAIL_TASK || mail->kind == SUP_MAIL_SET) {
			while (mail->job->answer) {
				struct sup_out *out = mail->job->answer;
				mail->job->answer = out->next;
				free(out);
			}
			free(mail->job);
		} else if (mail->kind == SUP_MAIL_FILL) {
			free(mail->fill);
		}
		free(mail);
		mail = next;
	}
}
