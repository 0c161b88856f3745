/*
 * bind_tensor.h - tensors as Lua values, for every C module that takes or gives them.
 */
#ifndef BIND_BIND_TENSOR_H
#define BIND_BIND_TENSOR_H

#include <lauxlib.h>
#include <lua.h>

#include "tensor/tensor.h"

#define BIND_TENSOR "core.tensor"

/* The tensor at a stack index; raises when it is none, or closed. Borrowed. */
struct tensor *bind_tensor_check(lua_State *L, int arg);

/* As above, NULL when the value is not a tensor (closed ones raise). */
struct tensor *bind_tensor_test(lua_State *L, int arg);

/* Pushes an empty tensor value and returns where to put the tensor, which it then owns. */
struct tensor **bind_tensor_box(lua_State *L);

/* Methods on numbers, for bind_tensor.c: see bind_tensor_op.c. */
extern const luaL_Reg bind_tensor_ops[];
extern const luaL_Reg bind_tensor_meta[];

#endif
