// SPDX-License-Identifier: Apache-2.0
// probe_service: an IceBox service for deployments (entry point `create`), with the properties of cpp_server.
#include "deployed.h"

#include <IceBox/IceBox.h>

namespace
{

class Service : public IceBox::Service
{
public:
    void start(const std::string& name, const Ice::CommunicatorPtr& communicator, const Ice::StringSeq&) override
    {
        serve(communicator, name);
    }

    void stop() override {}
};

}

extern "C" ICE_DECLSPEC_EXPORT IceBox::Service* create(const Ice::CommunicatorPtr&)
{
    return new Service;
}
