// SPDX-License-Identifier: Apache-2.0
// client36.js OPTIONS: a client of Ice 3.6 in Node, from login to a session that outlives its timeout by heartbeats alone.
"use strict";
const {Ice, Glacier2} = require("ice36");

const options = JSON.parse(process.argv[2]);
const lines = [];

function describe(e)
{
    return e.ice_name ? e.ice_name() : String(e);
}

// A promise of 3.6 passes its own thenable result on, which await would unwrap for ever.
function settled(promise)
{
    return new Promise((resolve, reject) =>
        promise.then(value => resolve([value && value.then ? undefined : value]), reject)).then(list => list[0]);
}

async function call(label, operation)
{
    try
    {
        const result = await settled(operation());
        lines.push(`${label} -> ${result === undefined || result === null ? "nothing" : result.toString()}`);
        return result;
    }
    catch(e)
    {
        lines.push(`${label} raised ${describe(e)}`);
        return null;
    }
}

async function main()
{
    const properties = Ice.createProperties();
    for(const [name, value] of Object.entries(options.properties))
    {
        properties.setProperty(name, value);
    }
    const init = new Ice.InitializationData();
    init.properties = properties;
    const ic = Ice.initialize(init);
    const base = ic.stringToProxy(options.router);
    const router = await call("router", () => Glacier2.RouterPrx.checkedCast(base).then(r => (r ? "is one" : "is none")));
    const proxy = Glacier2.RouterPrx.uncheckedCast(base);
    const target = ic.stringToProxy(options.target).ice_router(Ice.RouterPrx.uncheckedCast(base));
    await call("wrong password", () => proxy.createSession("alice", "wrong"));
    await call("login", () => proxy.createSession("alice", "wonderland"));
    await call("timeout", () => proxy.getSessionTimeout().then(t => t.toNumber()));
    await call("ACM timeout", () => proxy.getACMTimeout());
    await call("ping", () => target.ice_ping());
    await call("is a probe", () => target.ice_isA("::Probe::Target"));
    await call("is nothing else", () => target.ice_isA("::Nobody"));
    await call("unknown facet", () => target.ice_facet("nowhere").ice_ping());
    const connection = router && proxy.ice_getCachedConnection();
    lines.push(`connection ${connection ? "kept" : "none"}`);
    if(connection)
    {
        connection.setACM(options.timeout, undefined, Ice.ACMHeartbeat.HeartbeatAlways);
        await new Promise(resolve => setTimeout(resolve, 2500 * options.timeout));
    }
    await call("ping after two and a half session timeouts", () => target.ice_ping());
    await call("logout", () => proxy.destroySession());
    await call("ping after logout", () => target.ice_ping());
    await settled(ic.destroy());
}

main().then(() => console.log(JSON.stringify(lines)), e =>
{
    console.error(e.stack || describe(e));
    process.exit(1);
});
