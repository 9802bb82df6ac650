/* The agent of the bench: nothing at all. */
int
main(void)
{
	return 0;
}
