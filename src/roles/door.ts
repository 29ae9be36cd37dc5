import { decide } from "../core/admission/decide.ts";
import { type AdmissionDeps, answer, type Answer, type Call, type Door } from "../http/admission.ts";
import { selfReview } from "../http/self-review.ts";
import { type AdmissionServer, type ServingPair, startAdmissionServer } from "../http/server.ts";
import { controllerUser, type Parts, reachableHost, serviceName } from "./parts.ts";

export interface DoorCertificate extends ServingPair {
  readonly bundlePem: string;
  readonly pathSecret: string;
}

/** Opens the admission port and asks it a review of its own: before that nobody is told of it. */
export async function openDoor(parts: Parts, certificate: DoorCertificate): Promise<AdmissionServer> {
  const { config, log, metrics, store, readiness, tracing } = parts;
  const deps: AdmissionDeps = {
    decide,
    world: store,
    log,
    metrics,
    monotonicMs: () => performance.now(),
    nowMs: config.nowMs ?? Date.now,
    tracing,
    traces: {
      policyTrace: tracing.policyTrace,
      traceOf(namespace, name) {
        const { uid, generation = 0 } = store.policyObject(namespace, name)?.metadata ?? {};
        return uid === undefined ? undefined : tracing.policyTrace(uid, generation);
      },
    },
    controllerUser: controllerUser(config),
  };
  const answerOne = (door: Door, call: Call): Answer => answer(door, call, deps);
  const server = await startAdmissionServer({
    certPem: certificate.certPem,
    keyPem: certificate.keyPem,
    port: config.port,
    pathSecret: certificate.pathSecret,
    ...(config.host !== undefined && { host: config.host }),
    ...(config.clientCaPem !== undefined && { clientCaPem: config.clientCaPem }),
    answer: answerOne,
    log,
    metrics,
  });
  try {
    await selfReview({
      host: reachableHost(config),
      port: server.port,
      serverName: serviceName(config),
      pathSecret: certificate.pathSecret,
      caPem: certificate.bundlePem,
      ...(config.clientCaPem !== undefined && { inProcess: answerOne }),
    });
  } catch (error) {
    await server.close();
    throw error;
  }
  readiness.pass("selfReview");
  return server;
}
