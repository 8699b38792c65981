/*
 * sup_engine_job.c: what the catalog readers (sup_engine_read.c) have to do: a queue, put into by any thread.
 */
#include "supervisor/sup_engine_job.h"

void sup_job_queue(struct sup_engine *e, struct sup_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&e->job_lock);
	*e->jobs_end = job;
	e->jobs_end = &job->next;
	e->n_jobs++;
	pthread_cond_signal(&e->job_wake);
	pthread_mutex_unlock(&e->job_lock);
}

struct sup_job *sup_job_take(struct sup_engine *e)
{
	pthread_mutex_lock(&e->job_lock);
	while (!e->jobs && !atomic_load(&e->stopping))
		pthread_cond_wait(&e->job_wake, &e->job_lock);
	struct sup_job *job = e->jobs;
	if (job) {
		e->jobs = job->next;
		if (!e->jobs)
			e->jobs_end = &e->jobs;
		e->n_jobs--;
	}
	pthread_mutex_unlock(&e->job_lock);
	return job;
}
