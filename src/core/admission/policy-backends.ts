import { type Finding, finding } from "../finding.ts";
import type { BackendIntent } from "../intent/intent.ts";
import type { CompiledPolicy } from "../intent/policy.ts";
import { recordsIn, type Service } from "../kubernetes.ts";
import type { MeshCompiler } from "../mesh/mesh.ts";
import { SERVICE_KIND } from "../names.ts";
import type { AimedTarget } from "../policy/targets.ts";
import { contextOf } from "../routes/attached.ts";
import type { World } from "../world.ts";

export interface BackendsInput {
  readonly policy: CompiledPolicy;
  readonly targets: readonly AimedTarget[];
  readonly mesh: MeshCompiler;
}

/** Services that a split sends requests to and that are not there, or lack the port: each mesh answers with an error. */
export function backendFindings({ policy, targets, mesh }: BackendsInput, world: World): readonly Finding[] {
  const asked = targets
    .filter(({ kind, object }) => kind === SERVICE_KIND && object !== undefined)
    .flatMap(({ key }) => mesh.httpPorts(contextOf(key, world)));
  return (policy.intent.trafficSplit?.backends ?? []).flatMap((backend) => {
    const path = `spec.trafficSplit.backends[name=${backend.name}]`;
    const service = world.target({ ...SERVICE_KIND, namespace: policy.namespace, name: backend.name });
    if (service === undefined) return [notThere(backend, path)];
    const ports = recordsIn((service as Service).spec?.ports).map(({ port }) => port);
    const wanted = backend.port === undefined ? new Set(asked) : [backend.port];
    return [...wanted].filter((port) => !ports.includes(port)).map((port) => lacksPort(backend, port, path));
  });
}

function notThere({ name }: BackendIntent, path: string): Finding {
  return finding("FL323", path, {
    message: `Service ${name} does not exist yet, so its share of the requests fails`,
    fix: "create it before it gets a weight, or correct the name",
  });
}

function lacksPort({ name, port: written }: BackendIntent, port: number, path: string): Finding {
  return finding("FL323", path, {
    message: `Service ${name} has no port ${port}, so its share of the requests fails`,
    fix: written === undefined ? "name one of its ports in port" : "correct port, or leave it out",
  });
}
