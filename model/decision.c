#include "model/decision.h"

#include "model/table.h"

static const struct field part_fields[] = {
    FIELD(struct decision_part, name, F_STR),
    FIELD(struct decision_part, n, F_INT),
    FIELD_END,
};
static const struct schema part_schema = { sizeof(struct decision_part),
                                           part_fields };

static const struct field candidate_fields[] = {
    FIELD(struct decision_candidate, node, F_STR),
    FIELD(struct decision_candidate, score, F_INT),
    FIELD_L(struct decision_candidate, parts, part_schema),
    FIELD_END,
};
static const struct schema candidate_schema = {
    sizeof(struct decision_candidate), candidate_fields
};

static const struct field reason_fields[] = {
    FIELD(struct decision_reason, why, F_STR),
    FIELD(struct decision_reason, nodes, F_INT),
    FIELD(struct decision_reason, example, F_STR),
    FIELD_END,
};
static const struct schema reason_schema = { sizeof(struct decision_reason),
                                             reason_fields };

static const struct field change_fields[] = {
    FIELD(struct decision_change, what, F_STR),
    FIELD(struct decision_change, tenant, F_STR),
    FIELD_END,
};
static const struct schema change_schema = { sizeof(struct decision_change),
                                             change_fields };

#define T struct decision
static const struct field decision_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, node, F_STR),
    FIELD(T, policy, F_STR),
    FIELD(T, decided, F_TIME),
    FIELD(T, revision, F_INT),
    FIELD(T, nodes, F_INT),
    FIELD(T, fitting, F_INT),
    FIELD_L(T, candidates, candidate_schema),
    FIELD_L(T, excluded, reason_schema),
    FIELD_L(T, changes, change_schema),
    FIELD_END,
};
#undef T
KIND(kind_decision, KIND_DECISION, "placement_decision", struct decision,
     decision_fields, NO_INDEXES);
