-- wrk: plain GETs, told in the same words as create.lua tells.

dofile("bench/told.lua")
