/* How runnerd starts an unpack: with this descriptor and no other. */
#ifndef SCARAB_UNPACK_ORDER_H
#define SCARAB_UNPACK_ORDER_H

enum { UNPACK_FD_CHANNEL = 3 };

#endif
