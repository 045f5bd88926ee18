/* Shorthands for the field tables of this folder. */
#ifndef CAIRN_MODEL_TABLE_H
#define CAIRN_MODEL_TABLE_H

#include "model/model.h"

/* KIND(kind_flavor, KIND_FLAVOR, "flavor", struct flavor, fields, indexes) */
#define KIND(object_, number_, name_, type_, fields_, indexes_)                \
    const struct kind object_ = {                                              \
        name_, number_, { sizeof(type_), fields_ }, indexes_                   \
    }
#define INDEXES(...) ((const struct index[]){ __VA_ARGS__, { NULL } })
#define NO_INDEXES   NULL

#endif
