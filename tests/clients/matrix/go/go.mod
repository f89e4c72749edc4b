module observer.test/client

go 1.19
