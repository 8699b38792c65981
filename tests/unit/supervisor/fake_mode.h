/* fake_mode.h: how fake_child behaves; travels in limits.commit_wait_ms of its BOOT. */
#ifndef FAKE_MODE_H
#define FAKE_MODE_H

enum fake_mode {
	FAKE_GOOD,
	FAKE_NEVER_READY,
	FAKE_DIE_EARLY,
	FAKE_BAD_TYPE,
	FAKE_SHORT_LOG,
	FAKE_OPEN_LOG,
	FAKE_LOG_ID,
	FAKE_WITH_FD,
	FAKE_TWICE_READY,
	FAKE_FALSE_ACK,
	FAKE_CLOSE_CTL,
	FAKE_NO_ACK,
	FAKE_NO_DRAIN,
};

#endif
