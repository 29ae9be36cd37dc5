import * as z from "zod";

/** `spec.mtls`. */
export const mtls = z
  .strictObject({
    mode: z.enum(["Strict", "Permissive"]).meta({
      description:
        "Strict: only clients of the mesh, which use mutual TLS, reach the targets. Permissive: plain text is answered, " +
        "too. Required.",
    }),
  })
  .meta({
    description:
      "Whether the Pods of the targets answer clients without mutual TLS. Targets must be Services. Writing it needs the " +
      'verb change-mtls on the policy. Absent: nothing is changed. Example: {"mode": "Strict"}.',
  });
