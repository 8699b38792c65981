/*
 * lcy_scrub_look.c: the files of one object are read and compared with what they say of themselves, see lcy_scrub.h. On the scrub's
 * thread of objmapper-lifecycle.
 */
#include "lifecycle/lcy_scrub.h"

static void bad(struct lcy_scrub_file *f, enum lcy_scrub_what what, const char *why)
{
	f->found = LCY_SCRUB_DAMAGED;
	f->what = (uint8_t)what;
	f->why = why;
}

/* It could not be opened, described or read to its end. */
static void failed(struct lcy_scrub_file *f, int status)
{
	switch (-status) {
	case OBJM_STATUS_NOT_FOUND: bad(f, LCY_SCRUB_MISSING, NULL); break;
	case OBJM_STATUS_CORRUPT: bad(f, LCY_SCRUB_SIZE, NULL); break;
	case OBJM_STATUS_STORAGE:
	case OBJM_STATUS_PERMISSION_DENIED:
		f->found = LCY_SCRUB_UNREADABLE;
		f->status = status;
		f->what = LCY_SCRUB_READ;
		break;
	default: f->found = LCY_SCRUB_LATER; /* no descriptor, no memory, somebody's lease, asked to stop */
	}
}

/* The strings point into a buffer that the next file needs. */
static void keep_name(struct lcy_scrub_file *f, const struct om_rec *r)
{
	f->uri = strndup(r->uri, r->uri_len);
	f->uri_len = f->uri ? r->uri_len : 0;
}

/* True: it says of itself what it should, and its bytes are worth reading. Its length is seen then; whether the name is right is for the
 * index to say. */
static bool attr_ok(const struct lcy_scrub_job *job, struct lcy_scrub_file *f, const struct be_found *found)
{
	const struct om_rec *mine = &found->rec;

	if (!found->has_attr)
		bad(f, LCY_SCRUB_ATTR, found->why);
	/* A SET that was cut off leaves a home's file ahead of its record, and says nothing to a copy's: neither is damage. */
	else if (f == &job->file[LCY_SCRUB_HOME] && mine->rev < job->rev)
		bad(f, LCY_SCRUB_OLD, NULL);
	else
		return true;
	return false;
}

static void look_at(struct lcy_copy *c, struct lcy_scrub_job *job, struct lcy_scrub_file *f, uint8_t *attr)
{
	uint8_t was[BE_SUM_BYTES], is[BE_SUM_BYTES];
	struct be_found found;
	OM_AUTO_FD fd = -1;

	f->found = LCY_SCRUB_GOOD;
	int rc = be_open(f->be, job->id, &fd);
	if (rc == 0)
		rc = be_describe_fd(f->be, fd, job->id, attr, &found);
	if (rc == 0 && found.has_attr)
		keep_name(f, &found.rec);
	if (rc == 0 && !attr_ok(job, f, &found))
		return;
	if (rc == 0)
		rc = lcy_copy_sum(c, fd, job->size, f->memory, is);
	if (rc < 0) {
		failed(f, rc);
		return;
	}
	if (found.rec.sum)
		memcpy(was, found.rec.sum, sizeof(was));
	else if (!be_sum_get_old(fd, was)) {
		f->found = LCY_SCRUB_NO_SUM;
		return;
	}
	if (memcmp(was, is, sizeof(was)) != 0)
		bad(f, LCY_SCRUB_BYTES, NULL);
}

void lcy_scrub_job_fini(struct lcy_scrub_job *job)
{
	for (unsigned i = 0; i < LCY_SCRUB_FILES; i++) {
		free(job->file[i].uri);
		job->file[i].uri = NULL;
	}
}

void lcy_scrub_look(struct lcy_copy *copy, struct lcy_scrub_job *job, uint8_t attr[static BE_ATTR_MAX])
{
	lcy_scrub_job_fini(job); /* of the first look, if this is the second */
	for (unsigned i = 0; i < LCY_SCRUB_FILES; i++) {
		struct lcy_scrub_file *f = &job->file[i];
		f->found = LCY_SCRUB_NONE;
		f->what = 0;
		f->status = 0;
		f->why = NULL;
		if (f->be)
			look_at(copy, job, f, attr);
	}
}
