// A real authorization server for tests/it/oauth.rs: npm `oidc-provider`, certified by the OpenID Foundation.
// Prints its issuer when it listens. Lines on standard input: `rotate` makes it sign with new keys and forget the
// old ones; `count` prints how often its keys and its introspection were asked for.
//
// A resource decides what its tokens are, by words in its path: `opaque` or a JWT, `ttl-3` its seconds, `RS256`
// and the like its algorithm, `bound-PRINT` the certificate that they are bound to, `amr-otp` how the person logged in.
import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const real = resolve(process.env.BARTIZAN_REAL ?? join(here, "../../target/real"));
const { default: Provider } = await import(pathToFileURL(join(real, "npm/node_modules/oidc-provider/lib/index.js")));

// Standard output is for what the test asks.
console.info = () => {};
console.warn = () => {};

let generation = 0;

function keys() {
  generation += 1;
  const make = (alg, type, options) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
    kid: `${alg}-${generation}`,
    alg,
    use: "sig",
  });
  return [
    make("ES256", "ec", { namedCurve: "P-256" }),
    make("RS256", "rsa", { modulusLength: 2048 }),
    make("PS256", "rsa", { modulusLength: 2048 }),
    make("EdDSA", "ed25519"),
  ];
}

function resource(uri) {
  const words = new URL(uri).pathname.split("/");
  const ttl = words.find((word) => word.startsWith("ttl-"));
  return {
    audience: uri,
    scope: "mcp:read mcp:write mcp:other",
    accessTokenFormat: words.includes("opaque") ? "opaque" : "jwt",
    accessTokenTTL: ttl ? Number(ttl.slice(4)) : 300,
    jwt: { sign: { alg: words.find((word) => ["RS256", "PS256", "EdDSA"].includes(word)) ?? "ES256" } },
  };
}

// What a token for a resource says beside the usual.
function claims(token) {
  const words = new URL(token.resourceServer?.identifier() ?? token.aud ?? "https://none.test/").pathname.split("/");
  const after = (word) => words.find((one) => one.startsWith(word))?.slice(word.length);
  const [print, method] = [after("bound-"), after("amr-")];
  return {
    groups: ["staff", "ops"],
    ...(print && { cnf: { "x5t#S256": print } }),
    ...(method && { amr: [method], auth_time: Math.floor(Date.now() / 1000) }),
  };
}

const client = (client_id, rest) => ({ client_id, redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256", ...rest });

function provider(issuer) {
  const made = new Provider(issuer, {
    jwks: { keys: keys() },
    clients: [
      client("robot", { client_secret: "robot-secret", grant_types: ["client_credentials"] }),
      client("gateway", { client_secret: "gateway-secret", grant_types: ["client_credentials"] }),
      client("app", {
        token_endpoint_auth_method: "none",
        application_type: "native",
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        redirect_uris: ["http://127.0.0.1/callback"],
      }),
    ],
    scopes: ["openid", "offline_access", "mcp:read", "mcp:write", "mcp:other"],
    enabledJWA: { idTokenSigningAlgValues: ["ES256", "RS256", "PS256", "EdDSA"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientId === "gateway" },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: { enabled: true, getResourceServerInfo: (ctx, uri) => resource(uri), useGrantedResource: () => true },
    },
    extraTokenClaims: (ctx, token) => claims(token),
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  made.on("server_error", (ctx, error) => console.error(error));
  return made;
}

const counts = { keys: 0, introspection: 0 };
let handle;
const server = createServer((request, response) => {
  if (request.url.startsWith("/jwks")) counts.keys += 1;
  if (request.url.startsWith("/token/introspection")) counts.introspection += 1;
  handle(request, response);
});
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  handle = provider(issuer).callback();
  console.log(issuer);
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      if (line === "rotate") handle = provider(issuer).callback();
      console.log(line === "count" ? JSON.stringify(counts) : "done");
    })
    // Whoever started it is gone.
    .on("close", () => process.exit(0));
});
