#include "model/model.h"

#include <string.h>

const struct kind *const model_kinds[N_KINDS] = {
#define X(number, object) [number] = &object,
    MODEL_KINDS(X)
#undef X
};

const struct kind *model_kind_named(const char *name)
{
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(model_kinds[i]->name, name) == 0)
            return model_kinds[i];
    return NULL;
}
