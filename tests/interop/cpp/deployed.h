// SPDX-License-Identifier: Apache-2.0
// What a deployed server and a deployed IceBox service have in common: adapters with one servant for every identity.
#pragma once
#include <Ice/Ice.h>
#include <string>

// Makes the adapters that the property PREFIX.Adapters names, each with a servant that answers any operation with `who` and
// shows the metrics, properties and process facets of its communicator as every Ice server does. Activates them.
void serve(const Ice::CommunicatorPtr& communicator, const std::string& who);
