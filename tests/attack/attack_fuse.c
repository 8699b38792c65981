/*
 * attack_fuse.c: change a committed object by a FUSE direct-io read that was in flight into its mapping. See atk_fuse.c.
 */
#include "tests/attack/atk.h"

int main(int argc, char **argv)
{
	return atk_run_weapon(argc, argv, atk_fuse_weapon(), NULL);
}
