module sluice.invalid/consul

go 1.22.5

require github.com/hashicorp/consul v1.19.2

exclude github.com/hashicorp/go-msgpack v1.1.5

exclude github.com/hashicorp/go-msgpack v1.1.6
