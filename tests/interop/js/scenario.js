// SPDX-License-Identifier: Apache-2.0
// What a JavaScript client sees of a router, from login to the end of its session: the same in Node and in a browser.
"use strict";

// A value in a form that is equal for two routers exactly when they behaved equally.
function show(value)
{
    if(value === undefined || value === null)
    {
        return String(value);
    }
    if(value instanceof Error)
    {
        const members = Object.keys(value).filter(name => name[0] !== "_" && name !== "stack" && name !== "name").sort();
        return value.ice_id ? `${value.ice_id()}{${members.map(name => `${name}=${show(value[name])}`).join(", ")}}` :
            value.toString();
    }
    if(typeof value === "string")
    {
        return JSON.stringify(value.replace(/^\S+\.(cpp|h):\d+: /, "")); // where in the router's source it was raised
    }
    if(value instanceof Uint8Array)
    {
        return `bytes[${value.length}]${Array.from(value.slice(0, 8)).join(".")}`;
    }
    if(Array.isArray(value))
    {
        return `[${value.map(show).join(", ")}]`;
    }
    if(value instanceof Map)
    {
        return `{${Array.from(value).map(([k, v]) => `${show(k)}: ${show(v)}`).sort().join(", ")}}`;
    }
    if(value._name !== undefined)
    {
        return value._name; // an enumerator
    }
    if(typeof value === "object" && value.ice_getIdentity === undefined && !value.toNumber)
    {
        const members = Object.keys(value).filter(name => name[0] !== "_").sort();
        return `{${members.map(name => `${name}=${show(value[name])}`).join(", ")}}`;
    }
    return value.toString();
}

class Record
{
    constructor()
    {
        this.lines = [];
    }

    value(label, value)
    {
        this.lines.push(`${label}: ${show(value)}`);
    }

    async call(label, operation)
    {
        let result;
        try
        {
            result = await operation();
        }
        catch(e)
        {
            this.lines.push(`${label} raised ${show(e)}`);
            return e;
        }
        this.lines.push(`${label} -> ${show(result)}`);
        return result;
    }

    // Of an exception only the type: for texts that come from the client's own runtime.
    async kind(label, operation)
    {
        let text;
        try
        {
            text = `-> ${show(await operation())}`;
        }
        catch(e)
        {
            text = `raised ${e.ice_id ? e.ice_id() : e}`;
        }
        this.lines.push(`${label} ${text}`);
    }
}

// Resolves when condition() is true; tried again after every event that calls check().
class Condition
{
    constructor(condition)
    {
        this.condition = condition;
        this.promise = new Promise(resolve => { this.resolve = resolve; });
    }

    check()
    {
        if(this.condition())
        {
            this.resolve();
        }
    }
}

function callbackServant(Probe, notes)
{
    return new class extends Probe.Callback
    {
        note(n)
        {
            notes.numbers.push(n);
            notes.all.check();
        }

        answer(question)
        {
            return question.toUpperCase();
        }

        fail(reason)
        {
            throw new Probe.Problem(reason);
        }
    }();
}

async function beforeLogin(r, {Ice, Glacier2}, communicator, options)
{
    const early = communicator.stringToProxy(options.target).ice_router(
        Ice.RouterPrx.uncheckedCast(communicator.stringToProxy(options.router).ice_connectionId("early")));
    await r.kind("ping before login", () => early.ice_ping());
    const finder = Ice.RouterFinderPrx.uncheckedCast(communicator.stringToProxy(options.finder));
    await r.call("finder", () => finder.getRouter());
    const router = Glacier2.RouterPrx.uncheckedCast(communicator.stringToProxy(options.router));
    await r.call("ids", () => router.ice_ids());
    await r.call("wrong password", () => router.createSession("alice", "builder"));
    await r.call("unknown user", () => router.createSession("mallory", "x"));
    await r.call("refresh before", () => router.refreshSession());
    await r.call("destroy before", () => router.destroySession());
    await r.call("login", () => router.createSession("alice", "wonderland"));
    await r.call("second session", () => router.createSession("alice", "wonderland"));
    await r.call("session timeout", () => router.getSessionTimeout());
    await r.call("ACM timeout", () => router.getACMTimeout());
    await r.call("refresh", () => router.refreshSession());
    return router;
}

async function values(r, {Ice, Probe}, target)
{
    await r.call("echo", () => target.echo("gr\u00fc\u00dfe \u20ac"));
    await r.call("long echo", async () => (await target.echo("x".repeat(200000))).length);
    await r.call("struct, enum, out", () => target.move(new Probe.Point(2147483646, -3), Probe.Colour.Blue));
    await r.call("class", () => target.draw(new Probe.Circle("inner", 1.5, new Probe.Shape("core"))));
    await r.call("null class", () => target.draw(null));
    await r.call("optional both", () => target.maybe("a", 7));
    await r.call("optional none", () => target.maybe());
    await r.call("blob", () => target.blob(300000));
    await r.call("ids", () => target.ice_ids());
    await r.call("checked cast", async () => (await Probe.TargetPrx.checkedCast(target)) !== null);
    await r.call("facet", () => Probe.TargetPrx.uncheckedCast(target, "side").facetName());
    await r.call("no such facet", () => target.ice_facet("nowhere").ice_ping());
    await r.call("context", () => target.context(new Map([["a", "1"]])));
    for(const kind of ["problem", "worse", "object", "facet", "operation", "local"])
    {
        await r.call(kind, () => target.fault(kind));
    }
    await r.kind("undeclared", () => target.fault("undeclared"));
    const communicator = target.ice_getCommunicator();
    await r.call("no such object", () => communicator.stringToProxy(target.toString().replace("probe", "missing")).ice_ping());
    await r.call("unreachable", () => communicator.stringToProxy("nobody:tcp -h 127.0.0.1 -p 1").ice_ping());
    await r.call("no endpoints", () => communicator.stringToProxy("indirect").ice_ping());
}

async function order(r, {Probe}, target)
{
    const oneway = Probe.TargetPrx.uncheckedCast(target.ice_oneway());
    const batch = Probe.TargetPrx.uncheckedCast(target.ice_batchOneway());
    for(let n = 0; n < 100; ++n)
    {
        await (n % 3 ? oneway : target).put(n);
    }
    r.value("in order", Array.from(await target.taken()).every((n, i) => n === i));
    for(let n = 0; n < 50; ++n)
    {
        batch.put(n);
    }
    await batch.ice_flushBatchRequests();
    r.value("batch", await target.taken());
    const answers = await Promise.all(Array.from({length: 100}, (_, n) => target.echo(String(n))));
    r.value("a hundred at once", answers.every((text, n) => text === String(n)));
}

async function callbacks(r, {Ice, Probe}, communicator, router, target)
{
    const adapter = await communicator.createObjectAdapterWithRouter("", router);
    await adapter.activate();
    const category = await router.getCategoryForClient();
    r.value("token", category.length);
    const notes = {numbers: []};
    notes.all = new Condition(() => notes.numbers.length >= 100);
    const proxy = Probe.CallbackPrx.uncheckedCast(
        adapter.add(callbackServant(Probe, notes), new Ice.Identity("me", category)));
    await r.call("subscribe", () => target.subscribe(proxy));
    await r.call("ask", () => target.ask("who is there?"));
    await r.call("ask to fail", () => target.askToFail("on purpose"));
    await r.call("notify", () => target.notify(100));
    await notes.all.promise;
    r.value("notes in order", notes.numbers.every((n, i) => n === i));
    await r.call("sixteen questions", async () => (await Promise.all(
        Array.from({length: 16}, (_, n) => target.ask(`q${n}`)))).join(" "));
    await target.subscribe(Probe.CallbackPrx.uncheckedCast(
        adapter.createProxy(new Ice.Identity("nobody", category))));
    await r.call("unknown callback object", () => target.askToFail("x"));
    await target.subscribe(Probe.CallbackPrx.uncheckedCast(
        adapter.createProxy(new Ice.Identity("me", "x".repeat(20)))));
    await r.call("fake category", () => target.askToFail("x"));
}

async function end(r, router, target)
{
    const connection = router.ice_getCachedConnection();
    connection.setACM(4, undefined, connection.constructor.HeartbeatAlways);
    const closed = new Promise(resolve => connection.setCloseCallback(() => resolve(true)));
    await r.call("destroy", () => router.destroySession());
    await r.call("login again", () => router.createSession("bob", "builder"));
    await r.call("the route comes back", () => target.echo("again"));
    await r.call("destroy again", () => router.destroySession());
    await r.call("refresh after", () => router.refreshSession());
    await r.kind("call after", () => target.echo("x"));
    r.value("connection closed", await closed);
}

async function run(modules, options)
{
    const r = new Record();
    const init = new modules.Ice.InitializationData();
    init.properties = modules.Ice.createProperties();
    for(const [key, value] of Object.entries(options.properties))
    {
        init.properties.setProperty(key, value);
    }
    const communicator = modules.Ice.initialize(init);
    try
    {
        const router = await beforeLogin(r, modules, communicator, options);
        communicator.setDefaultRouter(router);
        const target = modules.Probe.TargetPrx.uncheckedCast(communicator.stringToProxy(options.target));
        await values(r, modules, target);
        await order(r, modules, target);
        await callbacks(r, modules, communicator, router, target);
        await end(r, router, target);
    }
    catch(e)
    {
        r.lines.push(`stopped by ${e.ice_id ? show(e) : e.stack}`);
    }
    await communicator.destroy();
    return r.lines;
}

if(typeof module !== "undefined")
{
    module.exports = {run};
}
else
{
    window.scenario = {run};
}
