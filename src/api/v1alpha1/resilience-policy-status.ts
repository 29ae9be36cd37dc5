import * as z from "zod";
import { condition } from "./common.ts";

const CONDITIONS_MAX = 16;
/** A long list in status makes every write of it dear; the counts beside it stay exact. */
const APPLIED_MAX = 100;

const revision = (description: string) => z.exactOptional(z.string().max(63).meta({ description }));
const count = (description: string) => z.exactOptional(z.int().min(0).max(2_147_483_647).meta({ description }));

const appliedService = z
  .object({
    name: z.string().max(253).meta({ description: "Name of the target." }),
    revision: z.string().max(63).meta({ description: "Revision of the policy that the target has." }),
  })
  .meta({ description: "One target and the revision that it has." });

/** `status`: written by the controller only; unknown fields of a newer version are left out when it is read. */
export const resiliencePolicyStatus = z
  .object({
    observedGeneration: z.exactOptional(
      z.int().min(0).meta({ format: "int64", description: "metadata.generation that this status was computed from." }),
    ),
    conditions: z.exactOptional(
      z
        .array(condition)
        .max(CONDITIONS_MAX)
        .meta({
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["type"],
          description:
            "Accepted: the policy can be compiled. Ready: every target has the current revision. Failed: writing to a " +
            "target failed. TargetServiceNotFound: a named target does not exist. Conflicted: another policy goes " +
            "before this one; the message names it.",
        }),
    ),
    targets: z.exactOptional(
      z
        .string()
        .max(1024)
        .meta({ description: 'The targets in short, as kubectl prints them, such as "user-service".' }),
    ),
    mesh: z.exactOptional(
      z
        .enum(["Linkerd", "Istio"])
        .meta({ description: "The mesh whose settings the targets get: spec.mesh, else that of the namespace." }),
    ),
    targetCount: count("How many targets the policy has, those beyond appliedToServices included."),
    appliedCount: count("How many of the targets have the current revision."),
    appliedToServices: z.exactOptional(
      z
        .array(appliedService)
        .max(APPLIED_MAX)
        .meta({
          "x-kubernetes-list-type": "atomic",
          description: `The first ${APPLIED_MAX} targets by name, each with the revision that it has.`,
        }),
    ),
    currentRevision: revision("Revision of the policy that is in force: the hash of its spec."),
    updateRevision: revision("Revision that the targets are moving to; equal to currentRevision when nothing moves."),
    lastUpdateTime: z.exactOptional(
      z.string().max(64).meta({ format: "date-time", description: "When this status last changed." }),
    ),
  })
  .meta({
    description: "What Fairlead made of the policy. Written by its controller; what others write here is lost.",
  });
