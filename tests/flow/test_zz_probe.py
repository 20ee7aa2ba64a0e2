from tests.flow.building import *
async def test_smoke(flow, customer):
    import time
    m = await flow.send(after(3600), callback_url=customer.url + "/cb")
    m2 = await flow.send()
    await flow.settle()
    assert (await flow.read(m2)).status == "sent"
    await flow.advance(3599)
    assert (await flow.read(m)).status == "scheduled"
    await flow.advance(1)
    assert (await flow.read(m)).status == "sent"
    print(flow.carrier.submitted[-1].at - m.send_at, customer.told, flow.store.calls)
    await flow.restart()
    await flow.settle()
    print(flow.store.calls)
