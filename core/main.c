#include <stdio.h>

int main(void)
{
    puts("plastinka " PLASTINKA_VERSION);
    return 0;
}
